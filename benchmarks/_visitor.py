"""A client in a process of its own, aiortc with our tuning: sends numbered pictures, notes their return.

Run as `python -m benchmarks._visitor URL --seconds 10`. It prints one line of JSON when pictures come and the
line has settled, and one at the end, see `Report`. `--door` says what URL is: a server of ours, or the bare
echo of `benchmarks/_echo.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from benchmarks._relay import UdpRelay, candidate, rewritten
from realtime.core.channel import Channel
from realtime.core.clock import MonotonicClock
from realtime.core.frame import VIDEO_CLOCK, Stamp
from realtime.core.planar import PlanarFrame, Planes
from realtime.media import from_i420, to_i420
from realtime.sources.mark import read_mark, write_mark
from realtime.sources.pattern import pattern_picture
from realtime.webrtc import tuning
from realtime.webrtc.offer import preferred_codecs
from realtime.webrtc.painted import PaintedTrack

WIDTH_PX, HEIGHT_PX, RATE_HZ = 640, 480, 30
SETTLE_S = 2.0
"""Pictures of the first seconds are not counted: the connection finds its bit rate."""
PICTURES = 128
CONNECT_TIMEOUT_S = 30.0


@dataclass
class Report:
    """Say what came back. Times are seconds since the first counted picture."""

    connected_s: float = 0.0
    """From the offer to the first picture."""
    at_s: list[float] = field(default_factory=list)
    ages_ms: list[float] = field(default_factory=list)
    """How long ago each picture that came back was sent, in order."""
    sides_px: list[int] = field(default_factory=list)
    """Shorter side of each."""
    unread: int = 0
    repeated: int = 0
    sent: int = 0
    overtaken: int = 0
    """Packets that arrived before earlier ones, where a relay saw to that."""


class Camera:
    """Put a moving picture with its number into `out`, 30 a second; the next is ready before it is due."""

    def __init__(self) -> None:
        self.out: Channel[PlanarFrame] = Channel("camera")
        self.sent_s: dict[int, float] = {}
        self._pictures = [pattern_picture(n, WIDTH_PX, HEIGHT_PX, mark=False) for n in range(PICTURES)]

    async def run(self) -> None:
        """Go on until cancelled."""
        begin_s = time.monotonic()
        for number in itertools.count():
            picture = self._pictures[number % PICTURES].copy()
            write_mark(picture, number)
            planes = Planes(to_i420(picture), from_i420)
            await asyncio.sleep(max(0.0, begin_s + number / RATE_HZ - time.monotonic()))
            self.sent_s[number] = time.monotonic()
            stamp = Stamp("camera", number, number * 90_000 // RATE_HZ, VIDEO_CLOCK, time.monotonic_ns())
            self.out.put(PlanarFrame(stamp, planes))


def number_in(frame: av.VideoFrame) -> int | None:
    """Read the number from the brightness alone."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]  # type: ignore[call-overload]
    return read_mark(np.broadcast_to(rows[..., None], (*rows.shape, 3)))


def call(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST JSON and return the JSON answer; {} for an empty one."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found


class Visit:
    """Connect, watch for some seconds, tell."""

    def __init__(self, url: str, door: str, codec: str, delay_s: float = 0.0, jitter_s: float = 0.0) -> None:
        tuning.apply()
        self._delay_s, self._jitter_s = delay_s, jitter_s
        self._relay: UdpRelay | None = None
        self._url, self._door = url, door
        self.report = Report()
        self.camera = Camera()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(PaintedTrack(self.camera.out, clock=MonotonicClock()))
        if codec != "offer":
            self.pc.getTransceivers()[0].setCodecPreferences(preferred_codecs(codec))  # type: ignore[arg-type]
        self.pc.on("track", self._take)
        if door == "ours":
            self._control = self.pc.createDataChannel("control")
        self._first = asyncio.Event()
        self._counts_from_s: float | None = None
        self._newest = -1
        self._tasks: list[asyncio.Task[None]] = []
        self._leave: Callable[[], object] = lambda: None

    async def run(self, seconds: float, on_begin: Callable[[], None]) -> Report:
        """Return the report after `seconds` of counting."""
        began_s = time.monotonic()
        self._tasks.append(asyncio.create_task(self.camera.run()))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await asyncio.to_thread(self._offered, self.pc.localDescription.sdp)
        if self._delay_s or self._jitter_s:
            self._relay = UdpRelay(candidate(answer), self._delay_s, self._jitter_s)
            answer = rewritten(answer, await self._relay.open())
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._first.wait()
        self.report.connected_s = time.monotonic() - began_s
        await asyncio.sleep(SETTLE_S)
        on_begin()
        self._counts_from_s = time.monotonic()
        first = len(self.camera.sent_s)
        await asyncio.sleep(seconds)
        self.report.sent = len(self.camera.sent_s) - first
        await self.close()
        return self.report

    async def close(self) -> None:
        """End the connection, and the session: it would wait for us to come back."""
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._leave)
        if self._relay is not None:
            self.report.overtaken = self._relay.overtaken
            self._relay.close()

    def _offered(self, sdp: str) -> str:
        offer = {"sdp": sdp, "type": "offer"}
        if self._door == "bare":
            return str(call(f"{self._url}/offer", offer)["sdp"])
        session = f"{self._url}/api/sessions/{call(f'{self._url}/api/sessions', {})['id']}"
        self._leave = lambda: call(f"{session}/close", {})
        return str(call(f"{session}/offer", offer)["sdp"])

    def _take(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._tasks += [asyncio.create_task(self._read(track)), asyncio.create_task(self._ping())]

    async def _ping(self) -> None:
        while self._door == "ours":
            if self._control.readyState == "open":
                self._control.send(json.dumps({"type": "ping", "sent_ms": time.monotonic() * 1000}))
            await asyncio.sleep(1)

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            now_s = time.monotonic()
            number = number_in(frame)
            sent_s = self.camera.sent_s.get(number) if number is not None else None
            if sent_s is not None:
                self._first.set()
            if self._counts_from_s is None:
                continue
            if number is None or sent_s is None:
                self.report.unread += 1
            elif number <= self._newest:
                self.report.repeated += 1
            else:
                self._newest = number
                self.report.at_s.append(round(now_s - self._counts_from_s, 4))
                self.report.ages_ms.append(round(1000 * (now_s - sent_s), 2))
                self.report.sides_px.append(min(frame.width, frame.height))


async def visit(options: argparse.Namespace) -> Report:
    """Make a visit as the command line says."""
    delay_s, jitter_s = options.delay_ms / 1000, options.jitter_ms / 1000
    one = Visit(options.url, options.door, options.codec, delay_s, jitter_s)
    return await one.run(options.seconds, lambda: print('{"begin": true}', flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--door", choices=("ours", "bare"), default="ours")
    parser.add_argument("--codec", choices=("h264", "vp8", "offer"), default="h264")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="on the way, in each direction")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="further delay, up to this, by chance")
    print(json.dumps(asdict(asyncio.run(visit(parser.parse_args())))))


if __name__ == "__main__":
    main()
