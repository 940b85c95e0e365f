"""Clients come and go, again and again, through the real routes in this process: what do they leave behind?

Each cycle makes a session of the preset "mirror", connects, waits for a picture of its own to come back, and
goes: every other one by DELETE, the rest as a page does that is closed. Tasks, threads and sockets must be as
many as half-way; memory too, since in the first half caches and the allocator fill.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from app.layers import read_settings
from app.server import Studio, build_app
from benchmarks._measure import median, print_table, quantile, rss_mb
from realtime.core.channel import Channel
from realtime.core.clock import MonotonicClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.sources.pattern import pattern_picture
from realtime.webrtc import tuning
from realtime.webrtc.painted import PaintedTrack

WIDTH_PX, HEIGHT_PX = 320, 240
PICTURE_TIMEOUT_S = 20.0
SETTLE_TIMEOUT_S = 10.0
LASTING_THREADS = ("encode", "session", "asyncio", "AnyIO", "lane-", "ThreadPool")
"""Made once, at most as many as there are processors or a fixed number, and kept."""


@dataclass(frozen=True)
class Left:
    """Count what stands at one moment."""

    tasks: int
    """On the server's media loop and on the clients'."""
    threads: int
    sockets: int
    sessions: int
    memory_mb: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cycles", type=int, default=1000)


def run(options: argparse.Namespace) -> dict[str, Any]:
    return asyncio.run(churn(options.cycles))


async def churn(cycles: int) -> dict[str, Any]:
    """Run so many cycles; return what the second half left behind, and how long each took."""
    tuning.apply()
    settings = read_settings(
        flags=[("preset", "mirror"), ("server.warm", False), ("server.drain_timeout_s", 1.0)], environ={}
    ).settings
    app = build_app(settings, page=False)
    took_ms: list[float] = []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
    ):
        studio: Studio = app.state.studio
        before: Left | None = None
        for cycle in range(cycles):
            began_s = time.perf_counter()
            await _visit(http, by_delete=cycle % 2 == 0)
            took_ms.append(1000 * (time.perf_counter() - began_s))
            if cycle + 1 == max(1, cycles // 2):
                before = await settled(studio)
        after = await settled(studio)
    assert before is not None
    figures = {
        "cycles": cycles, "cycle_ms_p50": round(median(took_ms), 1),
        "cycle_ms_p95": round(quantile(took_ms, 0.95), 1),
        "tasks_left": after.tasks - before.tasks, "threads_left": after.threads - before.threads,
        "sockets_left": after.sockets - before.sockets, "sessions_left": after.sessions,
        "memory_mb": round(after.memory_mb, 1),
        "memory_growth": round(after.memory_mb / before.memory_mb - 1, 4),
    }  # fmt: skip
    print_table(figures)
    return figures


async def settled(studio: Studio) -> Left:
    """Count once all sessions have ended, so far as they do."""
    end_s = time.monotonic() + SETTLE_TIMEOUT_S
    while len(studio.manager) and time.monotonic() < end_s:  # noqa: ASYNC110 - sessions have a loop of their own
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # transports close with the loop's next rounds
    gc.collect()
    tasks = len(asyncio.all_tasks()) + await studio.loop.do(_count_tasks())
    threads = [t for t in threading.enumerate() if not t.name.startswith(LASTING_THREADS)]
    return Left(tasks, len(threads), psutil.Process().num_fds(), len(studio.manager), rss_mb())


async def _count_tasks() -> int:
    return len(asyncio.all_tasks())


async def _visit(http: httpx.AsyncClient, *, by_delete: bool) -> None:
    """Connect, see a picture come back, and go."""
    session = (await http.post("/api/sessions", json={})).json()["id"]
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    camera: Channel[Frame] = Channel("camera")
    pc.addTrack(PaintedTrack(camera, clock=MonotonicClock()))
    came = asyncio.Event()
    tasks = [asyncio.create_task(_film(camera))]

    @pc.on("track")
    def take(track: Any) -> None:
        async def watch() -> None:
            await track.recv()
            came.set()

        tasks.append(asyncio.create_task(watch()))

    await pc.setLocalDescription(await pc.createOffer())
    offer = {"sdp": pc.localDescription.sdp, "type": "offer"}
    answer = (await http.post(f"/api/sessions/{session}/offer", json=offer)).json()
    await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    async with asyncio.timeout(PICTURE_TIMEOUT_S):
        await came.wait()
    if by_delete:
        await http.delete(f"/api/sessions/{session}")
    else:
        await http.post(f"/api/sessions/{session}/close")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    camera.close()
    await pc.close()


async def _film(out: Channel[Frame]) -> None:
    for number in itertools.count():
        stamp = Stamp("camera", number, 3000 * number, VIDEO_CLOCK, time.monotonic_ns())
        out.put(Frame(stamp, pattern_picture(number, WIDTH_PX, HEIGHT_PX)))
        await asyncio.sleep(1 / 30)
