"""The track that sends painted pictures: the newest, as soon as the line has room, as large as it carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.core.channel import Channel
from realtime.core.clock import NS_PER_S, Clock, ns_to_ticks
from realtime.core.errors import ChannelClosed
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.metrics import Histogram
from realtime.core.planar import PlanarFrame
from realtime.media import coded_picture, frame_of

from .encoding import encoder_threads
from .line import Line
from .shape import Shaper

RATE_MEASURED_S = 1.0


class PaintedTrack(MediaStreamTrack):
    """Send what comes out of a channel of `Frame`s (or of `Result`s that hold one).

    It has a clock of its own: a picture's RTP time is when it leaves, so the time that painting took, which
    varies, is not taken for network jitter and buffered away by the browser. It repeats nothing: without a
    new picture it waits, and ends when the channel closes or the track is stopped. While the line is still
    busy with what was sent before, pictures are forgotten in front of the encoder, never behind it.
    """

    kind = "video"

    def __init__(
        self,
        channel: Channel[Any],
        *,
        clock: Clock,
        age_ms: Histogram | None = None,
        on_sent: Callable[[float], object] | None = None,
        line: Line | None = None,
    ) -> None:
        super().__init__()
        self.line = line or Line()
        """What the sender knows of the receiver; `sending.py` tells it."""
        self._shaper = Shaper()
        self._channel = channel
        self._clock = clock
        self._age_ms = age_ms
        self._on_sent = on_sent
        self._begin_ns: int | None = None
        self._last = -1
        self._left_s = float("-inf")
        self._rate_hz = 30.0
        self._measured: tuple[float, int] | None = None
        self.sent = 0
        self.last_stamp: Stamp | None = None

    async def recv(self) -> av.VideoFrame:
        """Wait for room and the next picture, and give it the time of now."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._room()
        try:
            frame = frame_of(await self._channel.aget())
            while frame is None or self._comes_too_soon():
                frame = frame_of(await self._channel.aget())
            self._left_s = self._now_s()
        except ChannelClosed:
            self.stop()
            raise MediaStreamError from None
        picture = await self._coded(frame)
        now_ns = self._clock.now_ns()
        if self._begin_ns is None:
            self._begin_ns = now_ns
        self._last = max(self._last + 1, ns_to_ticks(now_ns - self._begin_ns, VIDEO_CLOCK))
        picture.pts, picture.time_base = self._last, VIDEO_CLOCK
        age_ms = frame.stamp.age_ms(now_ns)
        if self._age_ms is not None:
            self._age_ms.observe(age_ms)
        if self._on_sent is not None:
            self._on_sent(age_ms)
        self.sent += 1
        self.last_stamp = frame.stamp
        return picture

    async def _room(self) -> None:
        """Wait until the line has room for a picture, and for its turn where many come at once."""
        now_s = self._now_s()
        turn_s = now_s if self._is_held_down else self._turn_s
        wait_s = max(self.line.wait_s(now_s), turn_s - now_s)
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    @property
    def _is_held_down(self) -> bool:
        return self._shaper.step.most_hz < self._rate_hz

    @property
    def _turn_s(self) -> float:
        return self._left_s + 0.9 / self._shaper.step.most_hz  # pictures are never exactly in time

    def _comes_too_soon(self) -> bool:
        """Tell whether a picture is one too many at the rate that is held down, and is to be forgotten.

        It is not kept until its turn: by then the next one is there, and younger.
        """
        return self._is_held_down and self._now_s() < self._turn_s

    async def _coded(self, frame: Frame) -> av.VideoFrame:
        """Return what the encoder takes; colours and sizes are worked out on its threads, not on the loop."""
        now_s = self._now_s()
        self._measure(now_s)
        own = frame.width_px, frame.height_px
        step = self._shaper.choose(self.line.bits_s(now_s), *own, self._rate_hz, now_s)
        size = step.size_px(*own)
        if size == own and isinstance(frame, PlanarFrame):
            return coded_picture(frame)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(encoder_threads(), coded_picture, frame, size)

    def _measure(self, now_s: float) -> None:
        """Note how many pictures a second come, sent or not."""
        put = self._channel.stats().put
        if self._measured is None:
            self._measured = now_s, put
        elif (passed_s := now_s - self._measured[0]) >= RATE_MEASURED_S:
            self._rate_hz = max(1.0, (put - self._measured[1]) / passed_s)
            self._measured = now_s, put

    def _now_s(self) -> float:
        return self._clock.now_ns() / NS_PER_S
