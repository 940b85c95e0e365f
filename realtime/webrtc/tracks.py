"""What comes in on one peer's tracks: pumps that always drain it, and workers that take the newest.

A remote track that nobody reads grows without end in aiortc, so a pump does nothing but read, stamp and put.
Conversion runs on a thread of its own, on the newest picture only; the event loop and its default executor
never wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.core.channel import Channel, Drop
from realtime.core.clock import Clock
from realtime.core.errors import ChannelClosed, ChannelFull, VitascopeError
from realtime.core.frame import SPEECH_RATE_HZ, VIDEO_CLOCK, AudioChunk, Frame, Stamp
from realtime.media import Intake, rate_of

T = TypeVar("T")

SOUND_PACKETS_HELD = 100
"""2 s of 20 ms packets."""


@dataclass(frozen=True, slots=True)
class Arrival(Generic[T]):
    """Hold a decoded sample and the stamp that the pump gave it."""

    stamp: Stamp
    sample: T


class Worker(Generic[T]):
    """Take items from a channel on a thread of its own until the channel closes.

    What `handle` raises as a VitascopeError goes to `on_error` and the worker goes on; a ChannelClosed
    means that whoever listened has gone, and is not worth a word. Any other exception ends the thread: it
    is logged by threading.excepthook and `on_ended(False)` tells.
    """

    def __init__(
        self,
        name: str,
        channel: Channel[T],
        handle: Callable[[T], None],
        on_error: Callable[[VitascopeError], None],
        on_ended: Callable[[bool], None] = lambda clean: None,
    ) -> None:
        self._channel = channel
        self._handle = handle
        self._on_error = on_error
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def stop(self, timeout_s: float = 2.0) -> None:
        """Close the channel, forget what is in it and wait for the thread without blocking the loop."""
        self._channel.close()
        self._channel.clear()
        try:
            await asyncio.wait_for(self._ended.wait(), timeout_s)
        except TimeoutError:
            return  # it hangs in a callback; it is a daemon and ends with the callback
        self._thread.join()

    def _run(self) -> None:
        clean = False
        try:
            while True:
                try:
                    item = self._channel.get()
                except ChannelClosed:
                    clean = True
                    return
                try:
                    self._handle(item)
                except ChannelClosed:
                    continue
                except VitascopeError as error:
                    self._on_error(error)
        finally:
            self._on_ended(clean)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._ended.set)


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


class SoundIn:
    """Bring a remote sound track to `on_audio` as 16 kHz mono; with no `on_audio` only drain it."""

    def __init__(
        self,
        track: MediaStreamTrack,
        *,
        source: str,
        on_audio: Callable[[AudioChunk], object] | None,
        on_error: Callable[[VitascopeError], None],
        on_ended: Callable[[bool], None],
        clock: Clock,
    ) -> None:
        drop, room = (Drop.OLDEST, 1) if on_audio is None else (Drop.NEVER, SOUND_PACKETS_HELD)
        channel: Channel[Arrival[av.AudioFrame]] = Channel(
            f"{source}.sound", capacity=room, drop=drop, clock=clock
        )
        self._on_audio = on_audio
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SPEECH_RATE_HZ)
        self._seq = 0
        self._next: int | None = None
        self.pump: Pump[av.AudioFrame] = Pump(track, channel, source, clock)
        self.worker = None
        if on_audio is not None:
            self.worker = Worker(f"sound-{source}", channel, self._resample, on_error, on_ended)

    def _resample(self, arrival: Arrival[av.AudioFrame]) -> None:
        assert self._on_audio is not None
        due = round(arrival.stamp.pts * arrival.stamp.time_base * SPEECH_RATE_HZ)
        if (
            self._next is None or abs(due - self._next) > SPEECH_RATE_HZ // 20
        ):  # the start, or packets were lost
            self._next = due
        for piece in self._resampler.resample(arrival.sample):
            samples = np.ascontiguousarray(piece.to_ndarray()[0], np.float32)
            stamp = Stamp(
                arrival.stamp.source,
                self._seq,
                self._next,
                Fraction(1, SPEECH_RATE_HZ),
                arrival.stamp.captured_ns,
            )
            self._seq += 1
            self._next += len(samples)
            self._on_audio(AudioChunk(stamp, samples, SPEECH_RATE_HZ))

    async def stop(self) -> None:
        """End the pump, then the worker."""
        await self.pump.stop()
        if self.worker is not None:
            await self.worker.stop()
