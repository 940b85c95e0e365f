"""The links of one session: whose pictures are painted, who sees the result, and when the last one went.

Links come and go while the session lives on: a phone changes from Wi-Fi to mobile, a WebSocket stands in
until WebRTC connects. Pictures in come from one link at a time, the one that connected last.
All methods belong to the media loop, unless said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from realtime.core.channel import Channel
from realtime.core.clock import Clock
from realtime.core.frame import AudioChunk, Frame
from realtime.link import Ends, Link, Role

ENDED = ("failed", "closed")


@dataclass(slots=True, eq=False)
class Held:
    """Keep what a session knows of one link."""

    name: str
    number: int
    """1, 2, 3 ... in the order in which they were made."""
    role: Role
    path: str
    painted: Channel[Any] | None
    sound: Channel[AudioChunk] | None = None
    link: Link | None = None
    """None until it joined."""
    state: str = "new"
    detach: Callable[[], None] | None = None
    """Ends the events that it is sent."""

    def close_channels(self) -> None:
        """Let nothing more be sent to it."""
        for channel in (self.painted, self.sound):
            if channel is not None:
                channel.close()


class Links:
    """Hold them. `on_turn(name, state)` hears each change of a link's state."""

    def __init__(self, name: str, clock: Clock, on_turn: Callable[[Held, str], None]) -> None:
        self._name = name
        self._clock = clock
        self._on_turn = on_turn
        self._count = 0
        self._held: dict[str, Held] = {}
        self._input: str | None = None
        """Name of the link whose pictures are painted."""
        self.was_connected = False
        self.has_failed = False
        self.lost_ns: int | None = None
        """When the last connected one went; None while there is one, and before the first."""

    def __iter__(self) -> Any:
        return iter(tuple(self._held.values()))

    @property
    def main(self) -> Held | None:
        """The newest connected link that steers, else the newest that does not."""
        up = [one for one in self._held.values() if one.state == "connected" and one.link is not None]
        return next((one for one in reversed(up) if one.role is Role.MAIN), up[-1] if up else None)

    def add_figures(self, figures: dict[str, Any]) -> None:
        """Add what the main link knows to those of the stages: the way, drops, the age at the very end."""
        main = self.main
        if main is None or main.link is None:
            return
        stats = main.link.stats()
        figures["path"] = main.path
        figures["dropped"] += stats.dropped_before_intake
        if main.painted is not None:
            figures["dropped"] += main.painted.stats().dropped
        if stats.frames_out:
            figures["send_ms"] = round(max(0.0, stats.age_at_send_ms_p50 - figures["age_p50_ms"]), 1)
            figures["age_p50_ms"] = round(stats.age_at_send_ms_p50, 1)
            figures["age_p95_ms"] = round(stats.age_at_send_ms_p95, 1)

    def ends(
        self,
        role: Role,
        path: str,
        *,
        painted: Channel[Any] | None,
        on_frame: Callable[[Frame], object] | None,
        on_message: Callable[[dict[str, Any]], object] | None,
        on_audio: Callable[[AudioChunk], object] | None = None,
        sound: Channel[AudioChunk] | None = None,
        on_sent: Callable[[float], object] | None = None,
        size_px: int | None = None,
    ) -> Ends:
        """Return the ends of a new link. What comes from a link whose turn it is not is dropped unseen.

        `on_sent` hears the ages of the pictures that the main link sends.
        """
        self._count += 1
        name = f"{self._name}-{self._count}"
        held = self._held[name] = Held(name, self._count, role, path, painted, sound)

        def frame(one: Frame) -> None:
            if self._input == name and on_frame is not None:
                on_frame(one)

        def audio(one: AudioChunk) -> None:
            if self._input == name and on_audio is not None:
                on_audio(one)

        def sent(age_ms: float) -> None:
            if self.main is held and on_sent is not None:
                on_sent(age_ms)

        gives = role is not Role.VIEW
        return Ends(
            name=name,
            painted=painted,
            sound=sound,
            on_frame=frame if gives and on_frame is not None else None,
            on_audio=audio if gives and on_audio is not None else None,
            on_sent=sent,
            on_message=on_message if role is Role.MAIN else None,
            on_state=lambda state: self._turn(held, state),
            size_px=size_px,
            clock=self._clock,
        )

    def join(self, ends: Ends, link: Link) -> Held:
        """Take in a link that was made of `ends`."""
        held = self._held.get(ends.name)
        if held is None:  # it ended before it joined
            return Held(ends.name, 0, Role.VIEW, link.path, None, link=link, state="closed")
        held.link = link
        return held

    def replaced_by(self, newer: Held) -> list[Link]:
        """Return links that a client has left for `newer`, of the same kind: it could not tell them so."""
        return [
            one.link
            for one in self._held.values()
            if one.link is not None and one.number < newer.number
            if one.role is newer.role is not Role.VIEW and one.path == newer.path
        ]

    def forget(self, ends: Ends) -> None:
        """Let go of ends of which no link was made."""
        held = self._held.pop(ends.name, None)
        if held is not None:
            held.close_channels()

    def _turn(self, held: Held, state: str) -> None:
        if held.name not in self._held:
            return
        held.state = state
        if state == "connected":
            self.was_connected, self.lost_ns = True, None
            if held.role is not Role.VIEW:
                self._input = held.name
        elif state in ENDED:
            self._drop(held, state)
        self._on_turn(held, state)

    def _drop(self, held: Held, state: str) -> None:
        self.has_failed |= state == "failed"
        self._held.pop(held.name)
        if held.detach is not None:
            held.detach()
        held.close_channels()
        up = [one for one in self._held.values() if one.state == "connected"]
        if self._input == held.name:
            self._input = next((one.name for one in reversed(up) if one.role is not Role.VIEW), None)
        if not up and self.was_connected and self.lost_ns is None:
            self.lost_ns = self._clock.now_ns()
