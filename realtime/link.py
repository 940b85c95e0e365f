"""The seam between sessions and transports: what a session gives to those who carry it, and what it wants.

A transport knows no session and no graph, a session no transport: a WebRTC peer, a WebSocket or a WHIP client
are all a `Link`, made from the `Ends` that the session hands out. A session may have several links at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from realtime.core.channel import Channel
from realtime.core.clock import Clock, MonotonicClock
from realtime.core.frame import AudioChunk, Frame


class Role(Enum):
    """Say what a link is for."""

    MAIN = "main"
    """Pictures both ways, and events: the page, or a client that steers."""
    PUBLISH = "publish"
    """Pictures in only: a WHIP client."""
    VIEW = "view"
    """Pictures out only: a WHEP player, a wall."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Hold the session's ends of one link."""

    name: str = "link"
    """Goes into stamps and logs; unique within the session."""
    painted: Channel[Any] | None = None
    """Pictures to send: `Frame`s, or `Result`s that hold one. The link's own, so that none waits for another;
    the session closes it. None where the link sends no pictures."""
    sound: Channel[AudioChunk] | None = None
    """Sound to send, 48 kHz, in step with the pictures, so it goes out as it comes; the link's own, and the
    session closes it. None where there is none, empty while sound is off."""
    on_frame: Callable[[Frame], object] | None = None
    """Called for each picture that comes in, on the link's worker thread; None drains them unseen."""
    on_audio: Callable[[AudioChunk], object] | None = None
    """Called for sound that comes in, 48 kHz, on the link's worker thread."""
    on_sent: Callable[[float], object] | None = None
    """Called with the age of each picture as it leaves, in ms since its capture: sound is held back by that.
    From any thread."""
    on_message: Callable[[dict[str, Any]], object] | None = None
    """Called for each message of the client's, on the media loop."""
    on_state: Callable[[str], object] | None = None
    """Called on the media loop with "connecting", "connected", "failed" or "closed"."""
    size_px: int | None = None
    """Side of the centre square that incoming pictures are cut and resized to; None keeps their size."""
    clock: Clock = field(default_factory=MonotonicClock)


@dataclass(frozen=True, slots=True)
class LinkStats:
    """Say how a link is doing, since it began."""

    state: str
    frames_in: int = 0
    """Decoded pictures received."""
    dropped_before_intake: int = 0
    """Received pictures that a newer one replaced before they were converted."""
    frames_out: int = 0
    age_at_send_ms_p50: float = 0.0
    age_at_send_ms_p95: float = 0.0
    """From the door (decoded picture arrived) to the encoder, over the last 10 s."""
    sound_packets_in: int = 0
    sound_packets_lost: int = 0
    """Received, but nobody took them in time."""
    messages_refused: int = 0
    events_dropped: int = 0


class Link(Protocol):
    """Carry pictures, sound and events between a client and a session."""

    path: str
    """How: "webrtc", "websocket", "whip", "whep"."""
    state: str
    """The newest that `Ends.on_state` was told, "new" before."""

    def send(self, event: dict[str, Any]) -> None:
        """Send an event, from any thread; a link that carries none ignores it."""

    def resize(self, size_px: int | None) -> None:
        """Cut incoming pictures to another size from the next one on."""

    def stats(self) -> LinkStats:
        """Return the figures of now."""

    async def close(self) -> None:
        """End it and wait until nothing of it runs. Twice does no harm."""
