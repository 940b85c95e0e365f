"""What a client may ask of the HTTP routes: the source of a session's pictures, its settings, an offer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from .settings import Section


class FromClient(Section):
    """Pictures that the client sends."""

    kind: Literal["webrtc"] = "webrtc"


class FromPattern(Section):
    """The moving test picture; without a size it has the painter's."""

    kind: Literal["pattern"]
    width_px: int | None = Field(None, ge=64, le=2048)
    height_px: int | None = Field(None, ge=64, le=2048)
    rate_hz: float | None = Field(None, ge=1, le=120)
    count: int | None = Field(None, ge=1)
    mark: bool | None = None


class FromFile(Section):
    """A file that was sent before, by its id; without one the file that the server was started with."""

    kind: Literal["file"]
    file: str | None = Field(None, max_length=64)
    loop: bool = True


class FromCamera(Section):
    """A camera plugged into the server; only for a client on the same machine."""

    kind: Literal["camera"]
    device: int | None = Field(None, ge=0, le=63)


class FromUrl(Section):
    """A network stream; without an address the one that the server was started with."""

    kind: Literal["url"]
    url: str | None = Field(None, max_length=2048)


AnySource = FromClient | FromPattern | FromFile | FromCamera | FromUrl
SourceSpec = Annotated[AnySource, Field(discriminator="kind")]


class CreateBody(Section):
    """Body of POST /api/sessions."""

    source: SourceSpec = FromClient()
    settings: dict[str, Any] = Field(default_factory=dict, max_length=64)
    ticket: str = Field("", max_length=64)
    """Of the waiting room, once it is its holder's turn."""
    journal: bool = False
    """Write the run down for `python -m app replay`; it is found among the session's recordings."""


class OfferBody(BaseModel):
    """Body of POST /api/sessions/{id}/offer."""

    sdp: str
    type: Literal["offer"] = "offer"
