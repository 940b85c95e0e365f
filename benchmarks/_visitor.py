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
from contextlib import suppress
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
CALL_TIMEOUT_S = 20.0
REOFFER_TIMEOUT_S = 1.0
"""A new offer is made this often while the line is dead: the kernel asks ever more seldom by itself."""
OnBegin = Callable[[], object]


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
    reoffers: int = 0


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


def call(url: str, body: dict[str, Any], timeout_s: float = CALL_TIMEOUT_S) -> dict[str, Any]:
    """POST JSON and return the JSON answer; {} for an empty one. Raises OSError when none comes."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found


class Tally:
    """Read the pictures that come back, and from `begin` on note their ages in a report."""

    def __init__(self, sent_s: dict[int, float]) -> None:
        self.report = Report()
        self.first = asyncio.Event()
        """Set by each picture of ours that is back."""
        self.newest_s = time.monotonic()
        """When the last new picture of ours came."""
        self._sent_s = sent_s
        self._counts_from_s: float | None = None
        self._newest = -1

    def begin(self) -> None:
        """Count from now on."""
        self._counts_from_s = time.monotonic()

    async def read(self, track: MediaStreamTrack) -> None:
        """Read a track to its end."""
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            self._note(frame, time.monotonic())

    def _note(self, frame: Any, now_s: float) -> None:
        number = number_in(frame)
        sent_s = self._sent_s.get(number) if number is not None else None
        if sent_s is not None:
            self.first.set()
            self.newest_s = now_s
        if self._counts_from_s is None:
            return
        if number is None or sent_s is None:
            self.report.unread += 1
        elif number <= self._newest:
            self.report.repeated += 1
        else:
            self._newest = number
            self.report.at_s.append(round(now_s - self._counts_from_s, 4))
            self.report.ages_ms.append(round(1000 * (now_s - sent_s), 2))
            self.report.sides_px.append(min(frame.width, frame.height))


async def counted(camera: Camera, tally: Tally, seconds: float, began_s: float, on_begin: OnBegin) -> Report:
    """Wait for the first picture, let the line settle, count for `seconds`; return the report.

    Raises TimeoutError when no picture comes.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        await tally.first.wait()
    tally.report.connected_s = time.monotonic() - began_s
    await asyncio.sleep(SETTLE_S)
    on_begin()
    tally.begin()
    first = len(camera.sent_s)
    await asyncio.sleep(seconds)
    tally.report.sent = len(camera.sent_s) - first
    return tally.report


class Visit:
    """Connect, watch for some seconds, tell."""

    def __init__(
        self, url: str, door: str, codec: str, delay_s: float = 0.0, jitter_s: float = 0.0,
        reoffer_after_s: float | None = None,
    ) -> None:  # fmt: skip
        tuning.apply()
        self._delay_s, self._jitter_s = delay_s, jitter_s
        self._reoffer_after_s = reoffer_after_s
        self._relay: UdpRelay | None = None
        self._url, self._door, self._codec = url, door, codec
        self._session = ""
        self.camera = Camera()
        self.tally = Tally(self.camera.sent_s)
        self._tasks: list[asyncio.Task[None]] = []
        self._make()

    @property
    def report(self) -> Report:
        return self.tally.report

    def _make(self) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(PaintedTrack(self.camera.out, clock=MonotonicClock()))
        if self._codec != "offer":
            self.pc.getTransceivers()[0].setCodecPreferences(preferred_codecs(self._codec))  # type: ignore[arg-type]
        self.pc.on("track", self._take)
        if self._door == "ours":
            self._control = self.pc.createDataChannel("control")

    async def run(self, seconds: float, on_begin: OnBegin) -> Report:
        """Return the report after `seconds` of counting."""
        began_s = time.monotonic()
        self._tasks.append(asyncio.create_task(self.camera.run()))
        try:
            await self._connect()
            if self._reoffer_after_s is not None:
                self._tasks.append(asyncio.create_task(self._come_back(self._reoffer_after_s)))
            return await counted(self.camera, self.tally, seconds, began_s, on_begin)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the connection, and the session: it would wait for us to come back."""
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session:
            await asyncio.to_thread(call, f"{self._session}/close", {})
        if self._relay is not None:
            self.report.overtaken = self._relay.overtaken
            self._relay.close()

    async def _connect(self, timeout_s: float = CALL_TIMEOUT_S) -> None:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp = self.pc.localDescription.sdp
        if self._delay_s or self._jitter_s:
            self._relay = UdpRelay(self._delay_s, self._jitter_s)
            for_server, for_us = await self._relay.open(candidate(sdp)[0])
            sdp = rewritten(sdp, for_us)
        answer = await asyncio.to_thread(self._offered, sdp, timeout_s)
        if self._relay is not None:
            self._relay.target = candidate(answer)
            answer = rewritten(answer, for_server)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def _come_back(self, silent_s: float) -> None:
        """After a silence offer anew to the same session, again and again until pictures come."""
        while True:
            await asyncio.sleep(0.1)
            if time.monotonic() - self.tally.newest_s < silent_s:
                continue
            await self.pc.close()
            self._make()
            self.report.reoffers += 1
            with suppress(OSError):  # the line is still dead, or the answer was lost
                await self._connect(REOFFER_TIMEOUT_S)
                self.tally.first.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(silent_s):
                        await self.tally.first.wait()

    def _offered(self, sdp: str, timeout_s: float) -> str:
        offer = {"sdp": sdp, "type": "offer"}
        if self._door == "bare":
            return str(call(f"{self._url}/offer", offer)["sdp"])
        if not self._session:
            self._session = f"{self._url}/api/sessions/{call(f'{self._url}/api/sessions', {})['id']}"
        return str(call(f"{self._session}/offer", offer, timeout_s)["sdp"])

    def _take(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._tasks.append(asyncio.create_task(self.tally.read(track)))
            if self._door == "ours":
                self._tasks.append(asyncio.create_task(ping(self._control)))


async def ping(control: Any) -> None:
    """Ping once a second on the data channel, as our page does, until it closes."""
    while control.readyState != "closed":
        if control.readyState == "open":
            control.send(json.dumps({"type": "ping", "sent_ms": time.monotonic() * 1000}))
        await asyncio.sleep(1)


async def visit(options: argparse.Namespace) -> Report:
    """Make a visit as the command line says."""
    delay_s, jitter_s = options.delay_ms / 1000, options.jitter_ms / 1000
    one = Visit(options.url, options.door, options.codec, delay_s, jitter_s, options.reoffer_after_s)
    return await one.run(options.seconds, say_begin)


def say_begin() -> None:
    """Tell whoever sent the visitor that pictures are counted from now on."""
    print('{"begin": true}', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--door", choices=("ours", "bare"), default="ours")
    parser.add_argument("--codec", choices=("h264", "vp8", "offer"), default="h264")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="on the way, in each direction")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="further delay, up to this, by chance")
    parser.add_argument(
        "--reoffer-after-s", type=float, help="of silence, to the same session; else never, as a bare client"
    )
    print(json.dumps(asdict(asyncio.run(visit(parser.parse_args())))))


if __name__ == "__main__":
    main()
