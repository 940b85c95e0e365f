"""A camera that speaks RTSP, which the server reads, and an aiortc viewer of the painting, by one clock.

Run as `python -m benchmarks._rtsp URL --seconds 10`; it prints the lines that `benchmarks/_visitor.py` does.
The camera is GStreamer's RTSP server (`_rtsp_camera.py`): pictures are numbered here and given to it as they
are, so their age holds its encoder (x264, ultrafast) and its sending too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from benchmarks._processes import free_port
from benchmarks._visitor import (
    HEIGHT_PX,
    RATE_HZ,
    WIDTH_PX,
    Camera,
    OnBegin,
    Report,
    Tally,
    call,
    counted,
    ping,
    say_begin,
)
from realtime.webrtc import tuning
from realtime.webrtc.offer import preferred_codecs

SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}"
LOOK = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(name) for name in ("appsrc", "x264enc", "rtph264pay"))
"""


def why_not() -> str:
    """Say why there is no RTSP server here; empty where there is one."""
    missing = f"There is no RTSP server here: apt-get install {PACKAGES}."
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", LOOK], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return missing
    return missing if done.returncode else ""


@contextmanager
def rtsp_camera() -> Iterator[tuple[str, IO[bytes]]]:
    """Run the RTSP server; give its address and where it takes pictures. Raises RuntimeError."""
    port = free_port()
    script = Path(__file__).with_name("_rtsp_camera.py")
    words = [SYSTEM_PYTHON, str(script), *map(str, (port, WIDTH_PX, HEIGHT_PX, RATE_HZ))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("The RTSP server did not begin.")
            yield f"rtsp://127.0.0.1:{port}/cam", process.stdin
        finally:
            process.kill()


async def feed(camera: Camera, pictures: IO[bytes]) -> None:
    """Give the newest picture to the RTSP server, again and again, until the camera ends."""
    with suppress(BrokenPipeError):
        async for frame in camera.out:
            await asyncio.to_thread(_write, pictures, frame.planes.i420.tobytes())


def _write(pictures: IO[bytes], picture: bytes) -> None:
    pictures.write(picture)
    pictures.flush()


async def visit(url: str, seconds: float, on_begin: OnBegin) -> Report:
    """Have the server read the camera, and look at the painting for `seconds`; return what was seen."""
    tuning.apply()
    camera, began_s = Camera(), time.monotonic()
    tally = Tally(camera.sent_s)
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver("video", direction="recvonly").setCodecPreferences(preferred_codecs("h264"))
    control = pc.createDataChannel("control")
    tasks = [asyncio.create_task(camera.run()), asyncio.create_task(ping(control))]

    @pc.on("track")
    def take(track: Any) -> None:
        tasks.append(asyncio.create_task(tally.read(track)))

    with rtsp_camera() as (address, pictures):
        tasks.append(asyncio.create_task(feed(camera, pictures)))
        source = {"source": {"kind": "url", "url": address}}
        made = await asyncio.to_thread(call, f"{url}/api/sessions", source)
        session = f"{url}/api/sessions/{made['id']}"
        try:
            await pc.setLocalDescription(await pc.createOffer())
            offer = {"sdp": pc.localDescription.sdp, "type": "offer"}
            answer = await asyncio.to_thread(call, f"{session}/offer", offer)
            await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            return await counted(camera, tally, seconds, began_s, on_begin)
        finally:
            await pc.close()
            await asyncio.to_thread(call, f"{session}/close", {})
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
