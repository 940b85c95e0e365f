"""The one error tree. Each error says what happened, what was seen and what to do.

    VitascopeError
    ├── ConfigError (ValueError)        a person typed something that cannot be
    ├── ModelError
    │   ├── ModelMissing                not on this machine; the hint is the command that fetches it
    │   └── ModelCorrupt                a file differs from what the catalog says
    ├── EngineError
    │   ├── EngineUnavailable           this back end cannot serve here; the message is the reason
    │   └── EngineBuildFailed
    ├── MediaError
    │   ├── SourceClosed                the source ended or was taken away
    │   ├── UnsupportedMedia            the bytes are not what we can read
    │   └── ConnectionLost              the peer is gone
    ├── StageError                      raised inside a stage, carries its name and the sample's stamp
    ├── ChannelError
    │   ├── ChannelFull                 a NEVER channel has no room
    │   └── ChannelClosed               nothing more will come, or may be put
    └── SessionError                    an operation that the session's state does not allow

`permanent` tells whether trying again can help. The CLI prints message and hint and exits 2; the page shows
both with a button.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .frame import Stamp


class VitascopeError(Exception):
    """Root of the tree: a sentence, a `hint` that says what to do, and whether retrying can help."""

    permanent = False

    def __init__(self, message: str, *, hint: str = "", permanent: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if permanent is not None:
            self.permanent = permanent

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(VitascopeError, ValueError):
    """Report a setting, flag, prompt or request body that cannot be used."""

    permanent = True


class ModelError(VitascopeError):
    """Report a model that cannot be used."""

    permanent = True


class ModelMissing(ModelError):
    """Report a model that is not on this machine; `hint` holds the fetch command, size and licence."""


class ModelCorrupt(ModelError):
    """Report a model file whose size, digest or content is not what was promised."""


class EngineError(VitascopeError):
    """Report a compiled engine that failed."""


class EngineUnavailable(EngineError):
    """Report that a back end cannot serve on this machine, with the reason."""

    permanent = True


class EngineBuildFailed(EngineError):
    """Report that a back end accepted the model but could not build it."""

    permanent = True


class MediaError(VitascopeError):
    """Report trouble with a camera, file, stream or peer."""


class SourceClosed(MediaError):
    """Report that a source ended or was taken away."""


class UnsupportedMedia(MediaError):
    """Report bytes, a codec or an SDP that cannot be read."""

    permanent = True


class ConnectionLost(MediaError):
    """Report that the other side is gone."""


class StageError(VitascopeError):
    """Report a failure inside a stage's `process`, with the stamp of the sample it was working on."""

    def __init__(
        self,
        message: str,
        *,
        stage: str,
        stamp: Stamp | None = None,
        hint: str = "",
        permanent: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, permanent=permanent)
        self.stage = stage
        self.stamp = stamp


class ChannelError(VitascopeError):
    """Report a channel operation that cannot be done."""


class ChannelFull(ChannelError):
    """Report that a NEVER channel has no room: the reader is too slow, nothing was forgotten."""


class ChannelClosed(ChannelError):
    """Report that the channel is closed: nothing more will come out, nothing may go in."""

    permanent = True


class SessionError(VitascopeError):
    """Report an operation that the session's state does not allow."""
