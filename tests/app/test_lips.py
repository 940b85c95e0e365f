"""A flash and a click of the same moment go through a painter that takes 100 ms and come back together."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
from aiortc import RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.media import to_video_frame
from tests.app.test_server import made, serving
from tests.realtime.webrtc.client import Client, NumberedCamera

RATE = 48_000
FPS = 30
WANTED = 6
BEAT_S = 0.8
"""Between flashes: 24 pictures, 40 packets."""


class Flashes(NumberedCamera):
    """Send dark pictures, and for a tenth of a second at each beat bright ones."""

    begin_s = 0.0

    async def recv(self) -> av.VideoFrame:
        at_s = self.sent / FPS
        await asyncio.sleep(max(0.0, self.begin_s + at_s - time.monotonic()))
        is_bright = self.sent % round(BEAT_S * FPS) < 3
        frame = to_video_frame(np.full((96, 96, 3), 230 if is_bright else 20, np.uint8))
        frame.pts, frame.time_base = round(at_s * 90_000), Fraction(1, 90_000)
        self.sent += 1
        return frame


class Clicks(MediaStreamTrack):
    """Send silence, and at each beat 5 ms of a loud tone; a packet is sent when all of it was heard."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.begin_s = 0.0
        self._sent = 0

    async def recv(self) -> av.AudioFrame:
        at = np.arange(self._sent * 960, (self._sent + 1) * 960)
        await asyncio.sleep(max(0.0, self.begin_s + (self._sent + 1) * 0.02 - time.monotonic()))
        loud = at % round(BEAT_S * RATE) < RATE // 200
        tone = (20_000 * np.sin(2 * np.pi * 1000 * at / RATE) * loud).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, int(at[0]), Fraction(1, RATE)
        self._sent += 1
        return frame


class Watcher(Client):
    """Note when a flash is seen and when a click is heard, in seconds."""

    def __init__(self) -> None:
        super().__init__(Flashes())
        self.clicks = Clicks()
        self.pc.addTrack(self.clicks)
        self.seen_s: list[float] = []
        self.heard_s: list[float] = []
        self.loudest = 0.0

    def begin(self) -> None:
        assert self.camera is not None
        self.begin_s = self.clicks.begin_s = self.camera.begin_s = time.monotonic()  # type: ignore[attr-defined]

    async def _read(self, track: MediaStreamTrack) -> None:
        was_bright = True
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            now_s = time.monotonic()
            if isinstance(frame, av.VideoFrame):
                is_bright = frame.to_ndarray(format="rgb24").mean() > 120
                if is_bright and not was_bright:
                    self.seen_s.append(now_s)
                was_bright = is_bright
            else:
                line = np.abs(frame.to_ndarray().reshape(-1, 2)[:, 0].astype(int))
                self.loudest = max(self.loudest, line.max() / 32_768)
                at_s = now_s + int(np.argmax(line > 5000)) / RATE
                if line.max() > 5000 and at_s - (self.heard_s or [0.0])[-1] > BEAT_S / 2:
                    self.heard_s.append(at_s)
            self._news.set()

    async def join(self, http: httpx.AsyncClient, one: str) -> None:
        body = {"sdp": await self.offer(), "type": "offer"}
        answer = await http.post(f"/api/sessions/{one}/offer", json=body)
        assert answer.status_code == 200, answer.text
        self.begin()
        await self.pc.setRemoteDescription(RTCSessionDescription(**answer.json()))

    def delays_ms(self, times_s: list[float]) -> list[float]:
        """Milliseconds between each time and the beat that it came of."""
        return [1000 * ((at_s - self.begin_s) % BEAT_S) for at_s in times_s]


async def test_a_flash_and_a_click_come_back_together() -> None:
    async with serving("Belated") as http:
        wish = {"size_px": 96, "strength": 0, "sound": True}
        one = await made(http, {"source": {"kind": "webrtc"}, "settings": wish})
        watcher = Watcher()
        await watcher.join(http, one)
        await watcher.until(lambda: min(len(watcher.seen_s), len(watcher.heard_s)) >= WANTED + 2, 60)
        figures = (await http.get(f"/api/sessions/{one}")).json()["figures"]
        answer = await http.patch(f"/api/sessions/{one}/settings", json={"sound": False})
        assert answer.json()["settings"]["sound"] is False
        await watcher.close()
    pictures, sounds = (watcher.delays_ms(times)[2:] for times in (watcher.seen_s, watcher.heard_s))
    apart_ms = float(np.median(sounds)) - float(np.median(pictures))
    medians = f"pictures {np.median(pictures):.0f} ms, sound {np.median(sounds):.0f} ms"
    print(f"{medians}: {apart_ms:+.1f} ms apart")
    assert np.median(pictures) > 95
    assert abs(apart_ms) <= 45
    nearest = [min(abs(heard - seen) for seen in watcher.seen_s) for heard in watcher.heard_s[2 : WANTED + 2]]
    assert np.median(nearest) <= 0.045
    assert figures["sound_ms"] > 60
    assert watcher.loudest > 0.2
