"""A publisher by WHIP and a player by WHEP in one process, so that one clock times both ends.

Run as `python -m benchmarks._streams URL --seconds 10`; it prints the lines that `benchmarks/_visitor.py`
does. Both are aiortc with our tuning and H.264; neither has a data channel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
import urllib.request
from dataclasses import asdict
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from benchmarks._visitor import CALL_TIMEOUT_S, Camera, OnBegin, Report, Tally, counted, say_begin
from realtime.core.clock import MonotonicClock
from realtime.webrtc import tuning
from realtime.webrtc.offer import preferred_codecs
from realtime.webrtc.painted import PaintedTrack


def request(url: str, method: str, sdp: str = "") -> tuple[str, str]:
    """Return the answer's body and its Location. Raises OSError when it is refused."""
    asked = urllib.request.Request(url, sdp.encode(), {"Content-Type": "application/sdp"}, method=method)
    with urllib.request.urlopen(asked, timeout=CALL_TIMEOUT_S) as answer:
        return answer.read().decode(), answer.headers.get("Location", "")


class End:
    """One end of a stream: a connection, and the resource that stands for it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._resource = ""
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def connect(self, path: str) -> None:
        """Offer what the connection has by now."""
        self.pc.getTransceivers()[0].setCodecPreferences(preferred_codecs("h264"))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp = self.pc.localDescription.sdp
        answer, self._resource = await asyncio.to_thread(request, f"{self._url}{path}", "POST", sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        """End the resource, which goes with its connection otherwise, and the connection."""
        if self._resource:
            await asyncio.to_thread(request, f"{self._url}{self._resource}", "DELETE")
        await self.pc.close()


async def visit(url: str, seconds: float, on_begin: OnBegin) -> Report:
    """Publish and play for `seconds`; return what the player saw."""
    tuning.apply()
    camera, began_s, name = Camera(), time.monotonic(), f"benchmark-{os.getpid()}"
    tally = Tally(camera.sent_s)
    tasks = [asyncio.create_task(camera.run())]
    publisher, player = End(url), End(url)
    publisher.pc.addTransceiver(PaintedTrack(camera.out, clock=MonotonicClock()), direction="sendonly")
    player.pc.addTransceiver("video", direction="recvonly")

    @player.pc.on("track")
    def take(track: Any) -> None:
        tasks.append(asyncio.create_task(tally.read(track)))

    try:
        await publisher.connect(f"/whip/{name}")
        await player.connect(f"/whep/{name}")
        return await counted(camera, tally, seconds, began_s, on_begin)
    finally:
        await player.close()
        await publisher.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    print(json.dumps(asdict(asyncio.run(visit(options.url, options.seconds, say_begin)))))


if __name__ == "__main__":
    main()
