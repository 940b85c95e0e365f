"""What goes out of a link: small messages in their order, and between them pictures as the pace allows.

A picture is taken from its channel only when the window has room, so whatever does not fit is forgotten in
the channel, before it is encoded. One thread encodes; the loop only waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from realtime.core.channel import Channel
from realtime.core.clock import Clock
from realtime.core.errors import ChannelClosed
from realtime.core.frame import AudioChunk, Frame
from realtime.core.metrics import Histogram
from realtime.media import frame_of

from .pace import STUCK_S, Pace
from .pictures import Encoded, PictureEncoder
from .socket import Socket
from .sound import RATE_HZ, Samples, SoundEncoder
from .wire import Codec, Kind, Packet, pack

SMALL_HELD = 256
"""Events, acknowledgements and sound that wait for the socket; the oldest is dropped for one too many."""


class Sender:
    """Send over one socket, on one loop. `post` is for small messages; the coroutines run until cancelled."""

    def __init__(
        self,
        socket: Socket,
        name: str,
        clock: Clock,
        pace: Pace,
        on_sent: Callable[[float], object] | None = None,
    ) -> None:
        self.pace = pace
        self.frames = 0
        """Pictures sent."""
        self.dropped = 0
        """Small messages that were forgotten."""
        self.wants_key = False
        """Set when the other side cannot decode without a key picture."""
        self.age_ms = Histogram(f"{name}_age_at_send_ms")
        self._on_sent = on_sent
        self._socket = socket
        self._clock = clock
        self._begun_ns = clock.now_ns()
        self._sending = asyncio.Lock()
        self._small: deque[str | bytes] = deque()
        self._has_small = asyncio.Event()
        self._room = asyncio.Event()
        self._codecs = ThreadPoolExecutor(1, thread_name_prefix=f"encode-{name}")

    def post(self, message: str | bytes) -> None:
        """Let a small message wait for the socket."""
        if len(self._small) >= SMALL_HELD:
            self._small.popleft()
            self.dropped += 1
        self._small.append(message)
        self._has_small.set()

    def acked(self, seq: int) -> None:
        """Take note that the other side has decoded picture `seq`."""
        self.pace.acked(seq, self._clock.now_ns())
        self._room.set()

    async def small(self) -> None:
        """Send what is posted, for ever."""
        while True:
            await self._has_small.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send what was posted."""
        self._has_small.clear()
        while self._small:
            await self._send(self._small.popleft())

    async def pictures(self, painted: Channel[Any], codec: Codec) -> None:
        """Send the newest picture whenever there is room. Raises ChannelClosed at its end."""
        encoder = PictureEncoder(codec)
        loop = asyncio.get_running_loop()
        while True:
            await self._until_room()
            frame = frame_of(await painted.aget())
            if frame is None:
                continue
            now_ns = self._clock.now_ns()
            pts_us = (now_ns - self._begun_ns) // 1000
            work = self._order(encoder, frame, pts_us, now_ns)
            made = await loop.run_in_executor(self._codecs, work)
            size = made.width_px, made.height_px
            message = pack(Packet(Kind.PICTURE, codec, self.frames, pts_us, made.data, made.is_key, *size))
            now_ns = self._clock.now_ns()
            age_ms = frame.stamp.age_ms(now_ns)
            self.age_ms.observe(age_ms)
            if self._on_sent is not None:
                self._on_sent(age_ms)
            self.pace.sent(self.frames, len(message), made.is_key, now_ns)
            self.frames += 1
            await self._send(message)

    async def sound(self, chunks: Channel[AudioChunk]) -> None:
        """Send sound as it comes, to its end."""
        encoder = SoundEncoder()
        loop = asyncio.get_running_loop()
        seq = 0
        while True:
            try:
                chunk = await chunks.aget()
            except ChannelClosed:
                return
            for data, at in await loop.run_in_executor(self._codecs, _encode_sound, encoder, chunk.samples):
                pts_us = at * 1_000_000 // RATE_HZ
                self.post(pack(Packet(Kind.SOUND, Codec.OPUS, seq, pts_us, data, True)))
                seq += 1

    def close(self) -> None:
        """Let the encoding thread end."""
        self._codecs.shutdown(wait=False, cancel_futures=True)

    def _order(
        self, encoder: PictureEncoder, frame: Frame, pts_us: int, now_ns: int
    ) -> Callable[[], Encoded]:
        """Return what the encoding thread is to do, so that it need not look at the pace itself."""
        wants_key, self.wants_key = self.wants_key, False
        self.pace.resize(frame.width_px * frame.height_px)
        return partial(
            encoder.encode,
            frame.pixels,
            pts_us,
            bitrate_bps=self.pace.bitrate_bps,
            rate_hz=self.pace.rate_hz(now_ns),
            scale=self.pace.scale,
            wants_key=wants_key,
        )

    async def _until_room(self) -> None:
        while not self.pace.has_room(self._clock.now_ns()):
            self._room.clear()
            try:
                await asyncio.wait_for(self._room.wait(), STUCK_S)
            except TimeoutError:
                continue

    async def _send(self, message: str | bytes) -> None:
        async with self._sending:
            await self._socket.send(message)


def _encode_sound(encoder: SoundEncoder, samples_N: Samples) -> list[tuple[bytes, int]]:
    return list(encoder.encode(samples_N))
