"""What comes in on one peer's picture tracks: pumps that always drain it, and workers that take the newest.

A remote track that nobody reads grows without end in aiortc, so a pump does nothing but read, stamp and put.
Conversion runs on a thread of its own, on the newest picture only; the event loop and its default executor
never wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.core.channel import Channel, Drop
from realtime.core.clock import Clock
from realtime.core.errors import ChannelClosed, ChannelFull, VitascopeError
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.media import Intake, rate_of
from realtime.worker import Worker

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arrival(Generic[T]):
    """Hold a decoded sample and the stamp that the pump gave it."""

    stamp: Stamp
    sample: T


class Pump(Generic[T]):
    """Read a remote track to its end: stamp each sample and put it into `channel`, never waiting."""

    def __init__(
        self, track: MediaStreamTrack, channel: Channel[Arrival[T]], source: str, clock: Clock
    ) -> None:
        self.channel = channel
        self.received = 0
        self.refused = 0
        """Samples that a full NEVER channel did not take."""
        self._track = track
        self._source = source
        self._clock = clock
        self._task = asyncio.create_task(self._drain(), name=f"pump-{source}-{track.kind}")

    async def stop(self) -> None:
        """End the task and close the channel."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _drain(self) -> None:
        try:
            while True:
                sample: Any = await self._track.recv()
                now_ns = self._clock.now_ns()
                time_base = rate_of(sample.time_base or VIDEO_CLOCK)
                stamp = Stamp(self._source, self.received, sample.pts or 0, time_base, now_ns)
                self.received += 1
                try:
                    self.channel.put(Arrival(stamp, sample))
                except ChannelFull:
                    self.refused += 1
        except (MediaStreamError, ChannelClosed):
            return  # the other side stopped, or we did
        finally:
            self.channel.close()


class VideoIn:
    """Bring a track's newest picture to `on_frame` on the worker's thread; without one, only drain it."""

    def __init__(
        self,
        track: MediaStreamTrack,
        *,
        source: str,
        intake: Intake,
        on_frame: Callable[[Frame], object] | None,
        on_error: Callable[[VitascopeError], None],
        on_ended: Callable[[bool], None],
        clock: Clock,
    ) -> None:
        channel: Channel[Arrival[av.VideoFrame]] = Channel(f"{source}.intake", drop=Drop.OLDEST, clock=clock)
        self._on_frame = on_frame
        self.intake = intake
        self.pump: Pump[av.VideoFrame] = Pump(track, channel, source, clock)
        self.worker = None
        if on_frame is not None:
            self.worker = Worker(f"intake-{source}", channel, self._convert, on_error, on_ended)

    def _convert(self, arrival: Arrival[av.VideoFrame]) -> None:
        assert self._on_frame is not None
        self._on_frame(self.intake.frame(arrival.sample, arrival.stamp))

    async def stop(self) -> None:
        """End the pump, then the worker."""
        await self.pump.stop()
        if self.worker is not None:
            await self.worker.stop()
