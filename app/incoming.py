"""Where a session's pictures come from: who may ask for what, and the source that gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime.core.clock import Clock
from realtime.core.errors import ConfigError, VitascopeError

from .bodies import AnySource, FromCamera, FromFile, FromPattern, FromUrl
from .settings import SourceSettings

if TYPE_CHECKING:
    from realtime.sources.address import Rules
    from realtime.sources.base import Source

    from .files import Uploads

Make = Callable[[int | None], "Source"]
"""Makes the source for a picture size; None keeps each picture's own."""


class NotAllowed(VitascopeError):
    """Report something that this client may not ask for."""

    permanent = True


def rules_for(wish: SourceSettings, *, is_local: bool) -> Rules:
    """Return what a visitor may have this machine connect to. Raises AddressRefused when that is nothing."""
    from realtime.sources.address import AddressRefused, Rules

    if wish.urls == "off":
        raise AddressRefused(
            "This server reads and sends no network streams.",
            hint='It is switched on by source.urls = "local".',
        )
    if wish.urls == "local" and not is_local:
        raise AddressRefused(
            "Network streams are only for visitors at the server's own machine.",
            hint="Use your camera or a video file instead.",
        )
    return Rules(tuple(wish.url_schemes), allow_private=is_local or wish.allow_private)


def from_url(
    spec: FromUrl,
    wish: SourceSettings,
    *,
    is_local: bool,
    report: Callable[[str], None],
    clock: Clock,
) -> Callable[[int | None], Source]:
    """Return what makes the source. Raises ConfigError or AddressRefused for an address that may not be."""
    from realtime.sources.address import Rules, read_address

    if spec.url:
        url, rules = spec.url, rules_for(wish, is_local=is_local)
    elif wish.url:  # whoever started the server chose it
        url, rules = wish.url, Rules(tuple(wish.url_schemes), allow_private=True)
    else:
        raise ConfigError("No address was given.", hint="Write one such as rtsp://camera.local:554/stream.")
    read_address(url, rules)

    def stream(size_px: int | None) -> Source:
        from realtime.sources.network import NetworkSource

        return NetworkSource(url, rules=rules, size_px=size_px, on_notice=report, clock=clock)

    return stream


class Sources:
    """Make them."""

    def __init__(self, wish: SourceSettings, uploads: Uploads, clock: Clock) -> None:
        self._wish = wish
        self._uploads = uploads
        self._clock = clock

    def make(
        self, spec: AnySource, report: Callable[[str], None], *, is_local: bool
    ) -> tuple[Make | None, Callable[[], None]]:
        """Return what makes the session's source, None for the client's own, and what its end is to do.

        Raises NotAllowed or AddressRefused for what this client may not ask for.
        """
        wish = self._wish
        if isinstance(spec, FromUrl):
            return from_url(spec, wish, is_local=is_local, report=report, clock=self._clock), _nothing
        if isinstance(spec, FromPattern):

            def pattern(size_px: int | None) -> Source:
                from realtime.sources.pattern import PatternSource

                side = size_px or 512
                return PatternSource(
                    spec.width_px or side,
                    spec.height_px or side,
                    spec.rate_hz or wish.rate_hz,
                    count=spec.count,
                    mark=wish.pattern_mark if spec.mark is None else spec.mark,
                    clock=self._clock,
                )

            return pattern, _nothing
        if isinstance(spec, FromCamera):
            if not is_local:
                raise NotAllowed(
                    "The server's own camera is only for its own machine.",
                    hint="Use your browser's camera instead.",
                )

            def camera(size_px: int | None) -> Source:
                from realtime.sources.camera import CameraSource

                device = wish.camera if spec.device is None else spec.device
                return CameraSource(device, rate_hz=wish.rate_hz, size_px=size_px, clock=self._clock)

            return camera, _nothing
        if isinstance(spec, FromFile):
            path, let_go = wish.file, _nothing
            if spec.file is not None:
                file_id = spec.file
                path = self._uploads.play(file_id)
                let_go = lambda: self._uploads.release(file_id)  # noqa: E731 - one word, used once
            if path is None:
                raise NotAllowed("No file was sent.", hint="Choose a video file first.")
            where = path

            def file(size_px: int | None) -> Source:
                from realtime.sources.file import FileSource

                return FileSource(where, paced=True, loop=spec.loop, size_px=size_px, clock=self._clock)

            return file, let_go
        return None, _nothing


def _nothing() -> None:
    return None
