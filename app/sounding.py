"""A session's sound: in from its link or source, in step with its pictures, and out to every link.

While it is on, a task on the media loop releases what `realtime.sound` holds back. Stages that hear are given
all sound at once, whether it is on or not: what a person hears and what the graph hears are two things. Where
sound stops, they are given some silence, since what was said last would wait for its end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from realtime.core.channel import Channel, Drop
from realtime.core.clock import NS_PER_S, Clock
from realtime.core.errors import ChannelClosed, ChannelFull, ConfigError
from realtime.core.frame import AudioChunk
from realtime.sound import SoundLine

from . import events
from .wiring import Wiring

CHUNKS_HELD = 10
"""200 ms for a link; one that takes nothing for longer loses the oldest."""
HUSH_AFTER_S = 1.0
HUSH_S = 6
"""No pause that ends an utterance may be longer: stages.hear.end_ms."""
SWITCH = "sound"
"""Name of the switch among a session's settings."""


@dataclass(frozen=True, slots=True)
class SoundRules:
    """Say how a session begins, and how long its sound may wait."""

    is_on: bool = False
    max_delay_ms: float = 1000.0


def is_switch(value: object) -> bool:
    """Return what the switch is set to. Raises ConfigError for what is neither on nor off."""
    if not isinstance(value, bool):
        raise ConfigError(f"{SWITCH} = {value!r} cannot be used.", hint="Use true or false.")
    return value


class Hush:
    """Make the silence that follows on a source's last sound. From any thread."""

    def __init__(self) -> None:
        self._last: AudioChunk | None = None
        self._given = 0
        """Samples of silence since then."""

    def heard(self, chunk: AudioChunk) -> None:
        """Note a chunk of the source."""
        self._last, self._given = chunk, 0

    def take(self, until_ns: int | None) -> AudioChunk | None:
        """Return the silence that is missing until then, or (None) all there may be; None if that is none.

        It begins only where sound has stopped for a while, so that an uneven line is not filled up with it.
        """
        last = self._last
        if last is None:
            return None
        rate = last.sample_rate
        at = len(last.samples) + self._given
        size = HUSH_S * rate - self._given
        if until_ns is not None:
            missing = (until_ns - last.stamp.captured_ns) * rate // NS_PER_S - at
            size = min(size, missing) if missing >= HUSH_AFTER_S * rate else 0
        if size <= 0:
            return None
        self._given += size
        stamp = replace(
            last.stamp,
            pts=last.stamp.pts + at,
            captured_ns=last.stamp.captured_ns + at * NS_PER_S // rate,
        )
        return AudioChunk(stamp, np.zeros(size, np.float32), rate)


class Sounding:
    """Carry one session's sound. Made on the media loop; `put`, `painted` and `switch` from any thread."""

    def __init__(
        self,
        wiring: Wiring,
        rules: SoundRules,
        *,
        clock: Clock,
        tell: Callable[[events.Event], object],
    ) -> None:
        self.is_on = rules.is_on
        self._wiring = wiring
        self._rules = rules
        self._clock = clock
        self._tell = tell
        self._line = SoundLine(max_delay_ms=rules.max_delay_ms)
        self._lock = threading.Lock()
        self._channels: tuple[Channel[AudioChunk], ...] = ()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._releasing: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        self._hush = Hush()

    def subscribe(self) -> Channel[AudioChunk]:
        """Return a channel of what is released from now on, to be closed by who is done with it."""
        made: Channel[AudioChunk] = Channel("sound.out", CHUNKS_HELD, Drop.OLDEST, self._clock)
        self._channels = (*(one for one in self._channels if not one.closed), made)
        return made

    def put(self, chunk: AudioChunk) -> None:
        """Take sound of 48 kHz."""
        if self._wiring.hears:
            self._hush.heard(chunk)
            self._give(chunk)
        if not self.is_on:
            return
        with self._lock:
            self._line.put(chunk, self._clock.now_ns())
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._go_on)

    def hush(self, *, at_once: bool = False) -> None:
        """Let stages that hear know that sound has stopped, if it has; `at_once`: nothing follows."""
        silence = self._hush.take(None if at_once else self._clock.now_ns()) if self._wiring.hears else None
        if silence is not None:
            self._give(silence)

    def _give(self, chunk: AudioChunk) -> None:
        try:
            self._wiring.put_sound(chunk)
        except ChannelFull as error:
            self._notice(error.message, error.hint)

    def painted(self, age_ms: float) -> None:
        """Note how old a picture was as it left."""
        with self._lock:
            self._line.painted(age_ms)

    def switch(self, is_on: object) -> None:
        """Turn sound on or off for all links. Raises ConfigError for what is neither."""
        self.is_on = is_switch(is_on)
        if not self.is_on:
            with self._lock:
                self._line.clear()
            for channel in self._channels:
                channel.clear()

    def figures(self) -> dict[str, Any]:
        """Return how long sound waits and how much was lost, while there is some."""
        with self._lock:
            delay_ms = self._line.delay_ms
        return {} if delay_ms is None else {"sound_ms": round(delay_ms, 1)}

    async def close(self) -> None:
        """Release nothing more. Twice does no harm."""
        self.is_on = False
        with suppress(ChannelClosed):
            self.hush(at_once=True)
        for channel in self._channels:
            channel.close()
        if self._releasing is not None:
            self._releasing.cancel()
            await asyncio.gather(self._releasing, return_exceptions=True)

    def _go_on(self) -> None:
        self._news.set()
        if self._releasing is None and self.is_on:
            self._releasing = self._loop.create_task(self._release(), name="release-sound")

    async def _release(self) -> None:
        while True:
            with self._lock:
                now_ns = self._clock.now_ns()
                chunk, due_ns = self._line.take(now_ns), self._line.due_ns
                is_ahead = self._line.ahead_ms > 0
            if chunk is not None:
                self._send(chunk)
                if is_ahead:
                    self._notice(
                        f"Sound may wait {self._rules.max_delay_ms:g} ms and goes ahead of the pictures.",
                        "They take longer: lower the steps or the size, or raise server.max_sound_delay_ms.",
                    )
            elif due_ns is not None and due_ns > now_ns:
                await asyncio.sleep((due_ns - now_ns) / NS_PER_S)
            else:
                self._news.clear()
                await self._news.wait()

    def _send(self, chunk: AudioChunk) -> None:
        for channel in self._channels:
            try:
                channel.put(chunk)
            except ChannelClosed:  # that link has gone
                self._channels = tuple(one for one in self._channels if not one.closed)

    def _notice(self, message: str, hint: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._tell(events.notice(message, hint))
