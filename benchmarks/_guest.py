"""A WebRTC client that sends numbered pictures to a session and reads the age of what comes back."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Any

import av
import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.media import to_video_frame
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture
from realtime.webrtc import tuning

SIDE_PX = 256


class Numbered(MediaStreamTrack):
    """Send pictures that carry their number."""

    kind = "video"

    def __init__(self, rate_hz: float) -> None:
        super().__init__()
        self.sent_s: list[float] = []
        self._rate_hz = rate_hz
        self._begin_s = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        number = len(self.sent_s)
        await asyncio.sleep(max(0.0, self._begin_s + number / self._rate_hz - time.monotonic()))
        frame = to_video_frame(pattern_picture(number, SIDE_PX, SIDE_PX))
        frame.pts, frame.time_base = round(number / self._rate_hz * 90_000), Fraction(1, 90_000)
        self.sent_s.append(time.monotonic())
        return frame


class Guest:
    """Make a session at `url`, connect, look; `come_again` offers anew to the same session."""

    def __init__(self, http: httpx.AsyncClient, rate_hz: float = 30.0) -> None:
        self.id = ""
        self._http = http
        self._rate_hz = rate_hz
        self._pc: RTCPeerConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.ages_ms: list[float] = []
        """Of each picture whose number could be read, sent to received, in this connection."""
        self.painted = asyncio.Event()

    async def come(self) -> None:
        """Make the session and connect."""
        made = await self._http.post("/api/sessions", json={"source": {"kind": "webrtc"}})
        made.raise_for_status()
        self.id = made.json()["id"]
        await self._connect()

    async def come_again(self) -> None:
        """Connect to the same session once more, and let go of the old connection."""
        old, self._pc = self._pc, None
        await self._connect()
        if old is not None:
            await old.close()

    async def leave(self) -> None:
        """End the session and the connection."""
        await self._http.delete(f"/api/sessions/{self.id}")
        if self._pc is not None:
            await self._pc.close()
        for task in self._tasks:
            task.cancel()

    async def _connect(self) -> None:
        tuning.apply()
        self.ages_ms, self.painted = [], asyncio.Event()
        pc = self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        camera = Numbered(self._rate_hz)
        pc.addTrack(camera)
        pc.createDataChannel("control")
        pc.on("track", lambda track: self._read(track, camera))
        await pc.setLocalDescription(await pc.createOffer())
        body = {"sdp": pc.localDescription.sdp, "type": "offer"}
        answer = await self._http.post(f"/api/sessions/{self.id}/offer", json=body)
        answer.raise_for_status()
        await pc.setRemoteDescription(RTCSessionDescription(**answer.json()))

    def _read(self, track: MediaStreamTrack, camera: Numbered) -> None:
        task = asyncio.create_task(self._look(track, camera, self.ages_ms, self.painted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(
        self, track: MediaStreamTrack, camera: Numbered, ages_ms: list[float], painted: asyncio.Event
    ) -> None:
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            at_s = time.monotonic()
            number = read_mark(frame.to_ndarray(format="rgb24"))
            if number is not None and number < len(camera.sent_s):
                ages_ms.append(1000 * (at_s - camera.sent_s[number]))
                painted.set()
