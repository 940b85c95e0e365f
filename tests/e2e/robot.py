"""A WebRTC client in a process of its own: sends a photograph with a number in it, tells what came back.

Run as `python -m tests.e2e.robot URL FOLDER`. It prints one JSON object: ages read from the mark in the
pictures, how long a change of look took to arrive, and writes the pictures that it judged as PNG.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from realtime.media import to_video_frame
from realtime.sources.mark import read_mark, write_mark
from realtime.webrtc import tuning
from tests.e2e.photo import moving_photo

FRAMES = 150
SIDE_PX = 320
FIRST, SECOND = "photo", "blueprint"


def call(method: str, url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
        return json.loads(text) if text else None


class Camera(MediaStreamTrack):
    """Send the moving photograph at 30 pictures a second, each with its number."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.sent_s: dict[int, float] = {}
        self._begin_s = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        number = len(self.sent_s)
        await asyncio.sleep(max(0.0, self._begin_s + number / 30 - time.monotonic()))
        picture = moving_photo(number, SIDE_PX)
        write_mark(picture, number)
        frame = to_video_frame(picture)
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90_000)
        self.sent_s[number] = time.monotonic()
        return frame


def is_second_look(picture_HW3: np.ndarray) -> bool:
    """Tell whether the picture is a blueprint: far more blue than red."""
    red, _, blue = picture_HW3[: picture_HW3.shape[0] // 2].reshape(-1, 3).mean(0)
    return bool(blue > red + 40)


async def visit(url: str, folder: Path) -> dict[str, Any]:
    """Connect, judge FRAMES pictures, change the look, tell."""
    session = call("POST", f"{url}/api/sessions", {"settings": {"prompt": FIRST}})["id"]
    tuning.apply()
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    camera = Camera()
    pc.addTrack(camera)
    came: asyncio.Queue[tuple[float, np.ndarray]] = asyncio.Queue()

    async def read(track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            came.put_nowait((time.monotonic(), frame.to_ndarray(format="rgb24")))

    readers: list[asyncio.Task[None]] = []
    pc.on("track", lambda track: readers.append(asyncio.create_task(read(track))))
    await pc.setLocalDescription(await pc.createOffer())
    answer = call(
        "POST", f"{url}/api/sessions/{session}/offer", {"sdp": pc.localDescription.sdp, "type": "offer"}
    )
    await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))

    numbers: list[int] = []
    ages_ms: list[float] = []
    unread = 0
    picture = np.zeros((1, 1, 3), np.uint8)
    async with asyncio.timeout(60):
        while len(numbers) < FRAMES:
            at_s, picture = await came.get()
            number = read_mark(picture)
            if number is None or number not in camera.sent_s:
                unread += 1
                continue
            numbers.append(number)
            ages_ms.append(1000 * (at_s - camera.sent_s[number]))
    seen = moving_photo(numbers[-1], SIDE_PX)
    write_mark(seen, numbers[-1])
    save(folder / "sent.png", seen)
    save(folder / "painted.png", picture)

    asked_s = time.monotonic()
    call("PATCH", f"{url}/api/sessions/{session}/settings", {"prompt": SECOND})
    changed_s = None
    async with asyncio.timeout(20):
        while changed_s is None:
            at_s, picture = await came.get()
            if is_second_look(picture):
                changed_s = at_s - asked_s
    save(folder / "changed.png", picture)
    report = call("GET", f"{url}/api/sessions/{session}", {})
    for task in readers:
        task.cancel()
    await pc.close()
    settled = ages_ms[FRAMES // 5 :]  # the connection's first second finds its bit rate
    return {
        "age_p95_ms": float(np.quantile(settled, 0.95)),
        "age_p50_ms": float(np.median(settled)),
        "ordered": numbers == sorted(set(numbers)),
        "unread": unread,
        "read": len(numbers),
        "look_changed_s": changed_s,
        "fps": (len(numbers) - 1) / ((numbers[-1] - numbers[0]) / 30),
        "report": report,
    }


def save(path: Path, rgb_HW3: np.ndarray) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(rgb_HW3, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(visit(sys.argv[1], Path(sys.argv[2])))))
