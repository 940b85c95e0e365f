"""A WebRTC client for tests: sends numbered pictures as a browser would and reads the numbers that come back.

Both ends use host candidates of this machine's ordinary addresses. Where there is none (a container with
only a loopback interface) `realtime.webrtc.tuning` makes both ends offer 127.0.0.1, so the tests need no
network.
"""

from __future__ import annotations

import asyncio
import json
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.media import to_video_frame
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture
from realtime.webrtc import tuning
from realtime.webrtc.peer import Peer

NO_SERVERS = RTCConfiguration(iceServers=[])


class NumberedCamera(MediaStreamTrack):
    """Send pictures that carry their number at `rate_hz`; `size` may be changed while it runs."""

    kind = "video"

    def __init__(self, size: tuple[int, int] = (320, 240), rate_hz: float = 30.0) -> None:
        super().__init__()
        self.size = size
        self.rate_hz = rate_hz
        self.sent = 0
        self.sent_s: dict[int, float] = {}
        self._begin_s = 0.0
        self._goals: dict[int, asyncio.Event] = {}

    async def until_sent(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until picture number `count` leaves."""
        async with asyncio.timeout(timeout_s):
            await self._goals.setdefault(count, asyncio.Event()).wait()

    async def recv(self) -> av.VideoFrame:
        if not self.sent:
            self._begin_s = time.monotonic()
        due_s = self._begin_s + self.sent / self.rate_hz
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        frame = to_video_frame(pattern_picture(self.sent, *self.size))
        frame.pts, frame.time_base = round(self.sent / self.rate_hz * 90_000), Fraction(1, 90_000)
        self.sent_s[self.sent] = time.monotonic()
        self.sent += 1
        if self.sent in self._goals:
            self._goals[self.sent].set()
        return frame


class Hum(MediaStreamTrack):
    """Send 20 ms pieces of a 440 Hz tone, stereo at 48 kHz."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._begin_s = 0.0

    async def recv(self) -> av.AudioFrame:
        if not self._count:
            self._begin_s = time.monotonic()
        await asyncio.sleep(max(0.0, self._begin_s + self._count * 0.02 - time.monotonic()))
        at = np.arange(self._count * 960, (self._count + 1) * 960)
        tone = (8000 * np.sin(2 * np.pi * 440 * at / 48_000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, int(at[0]), Fraction(1, 48_000)
        self._count += 1
        return frame


class Client:
    """Connect to a `Peer` in the same process. `received` holds (number or None, round trip in ms, size)."""

    def __init__(
        self, camera: NumberedCamera | None = None, *, sound: bool = False, control: bool = True
    ) -> None:
        tuning.apply()
        self.pc = RTCPeerConnection(NO_SERVERS)
        self.camera = camera
        self.received: list[tuple[int | None, float, tuple[int, int]]] = []
        self.messages: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self.pc.on("track", self._take)
        if camera is not None:
            self.pc.addTrack(camera)
        else:
            self.pc.addTransceiver("video", direction="recvonly")
        if sound:
            self.pc.addTrack(Hum())
        self.control = self.pc.createDataChannel("control") if control else None
        if self.control is not None:
            self.control.on("message", self._message)

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def connect(self, peer: Peer) -> str:
        """Offer, take the answer and return it."""
        answer = await peer.answer(await self.offer())
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        return answer

    async def until(self, condition: Any, timeout_s: float = 20.0) -> None:
        """Wait until `condition()` holds; it is asked again with each picture or message that comes."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def pictures(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait for `count` more pictures."""
        goal = len(self.received) + count
        await self.until(lambda: len(self.received) >= goal, timeout_s)

    async def control_open(self) -> None:
        assert self.control is not None
        if self.control.readyState != "open":
            opened = asyncio.Event()
            self.control.on("open", opened.set)
            async with asyncio.timeout(10):
                await opened.wait()

    async def close(self) -> None:
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._read(track), name="test-client-read"))

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, av.VideoFrame):
                now_s = time.monotonic()
                number = read_mark(frame.to_ndarray(format="rgb24"))
                sent_s = self.camera.sent_s.get(number) if self.camera and number is not None else None
                age_ms = float("nan") if sent_s is None else 1000 * (now_s - sent_s)
                self.received.append((number, age_ms, (frame.width, frame.height)))
                self._news.set()

    def _message(self, message: str) -> None:
        self.messages.append(json.loads(message))
        self._news.set()
