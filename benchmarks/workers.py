"""What worker processes cost, and how fast sessions come back when one is killed.

The age of a picture (client to client, read from the picture) through one plain process, through a worker
process behind a front, and through a worker in a Ray actor, in turns; then, for each back end, two workers
with four sessions of which one is killed; its clients hear of that from the front, as the page does, and
offer anew. The stage is nearly free, so the figures are the way's. Client and servers share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from app.cluster.front import build_front
from app.cluster.serve import backend_of
from app.layers import read_settings
from app.registry import Registry
from app.serve import server_config

from ._cheap import TABLE
from ._guest import Guest
from ._measure import median, print_table, quantile
from ._plain import plain

SETTLE_S = 2.0
RESUME_S = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=4, help="turns of each kind (default: 4)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn (default: 6)")
    parser.add_argument("--kills", type=int, default=2, help="kills for each back end (default: 2)")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with_ray = not options.no_ray and importlib.util.find_spec("ray") is not None
    return asyncio.run(_run(options, with_ray))


async def _run(options: argparse.Namespace, with_ray: bool) -> dict[str, Any]:
    backends = ["local", "ray"] if with_ray else ["local"]
    figures: dict[str, Any] = {}
    async with contextlib.AsyncExitStack() as stack:
        kinds = {"plain": await stack.enter_async_context(plain(TABLE))}
        for backend in backends:
            kinds[backend], _ = await stack.enter_async_context(front(backend, 1))
        ages_ms: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind, http in kinds.items():
                ages_ms[kind].append(await _turn(http, options.seconds))
    for kind, turns in ages_ms.items():
        figures[f"{kind}_age_p50_ms"] = median([median(turn) for turn in turns])
        figures[f"{kind}_age_p95_ms"] = median([quantile(turn, 0.95) for turn in turns])
        figures[f"{kind}_fps"] = median([len(turn) / options.seconds for turn in turns])
    for backend in backends:
        for name, q in (("p50", 0.5), ("p95", 0.95)):
            # Turn by turn, so that what else runs on the machine weighs on both alike.
            pairs = zip(ages_ms[backend], ages_ms["plain"], strict=True)
            ratios = [quantile(one, q) / quantile(other, q) for one, other in pairs]
            figures[f"{backend}_over_plain_{name}"] = median(ratios)
    for backend in backends:
        figures |= await _kills(backend, options.kills)
    print_table(figures)
    return figures


async def _turn(http: httpx.AsyncClient, seconds: float) -> list[float]:
    """Look at one session for `seconds` after it has settled; return the ages in ms."""
    guest = Guest(http)
    await guest.come()
    async with asyncio.timeout(RESUME_S):
        await guest.painted.wait()
    await asyncio.sleep(SETTLE_S)
    guest.ages_ms.clear()
    await asyncio.sleep(seconds)
    ages_ms = list(guest.ages_ms)
    await guest.leave()
    return ages_ms


class Ear:
    """Listens at the front for a guest, as the page does, until it says that the session has moved."""

    def __init__(self, http: httpx.AsyncClient, guest: Guest) -> None:
        self._http, self._guest = http, guest
        self._listens = asyncio.Event()
        self.told = asyncio.create_task(self._listen())

    @classmethod
    async def begun(cls, http: httpx.AsyncClient, guest: Guest) -> Ear:
        """Return one that hears from now on."""
        ear = cls(http, guest)
        await ear._listens.wait()
        return ear

    async def _listen(self) -> None:
        async with self._http.stream("GET", f"/api/sessions/{self._guest.id}/events") as answer:
            self._listens.set()
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and json.loads(line.removeprefix("data: "))["type"] == "move":
                    return
        raise RuntimeError("the front's news ended without a move")


async def _kills(backend: str, kills: int) -> dict[str, float]:
    """Kill one of two workers with four sessions, again and again; return times from the kill in seconds."""
    told_s: list[float] = []
    resumed_s: list[float] = []
    back_s: list[float] = []
    async with front(backend, 2) as (http, desk):
        guests = [Guest(http, rate_hz=10) for _ in range(4)]
        for guest in guests:
            await guest.come()
            await guest.painted.wait()
        for _ in range(kills):
            victim = desk.record(guests[0].id).worker
            lost = [guest for guest in guests if desk.record(guest.id).worker == victim]
            news = [await Ear.begun(http, guest) for guest in lost]
            begun_s = time.monotonic()
            os.kill(desk.keeper.line(victim).address.pid, signal.SIGKILL)

            async def resume(guest: Guest, ear: Ear, begun_s: float = begun_s) -> None:
                async with asyncio.timeout(RESUME_S):
                    await ear.told
                    told_s.append(time.monotonic() - begun_s)
                    await guest.come_again()
                    await guest.painted.wait()
                resumed_s.append(time.monotonic() - begun_s)

            await asyncio.gather(*map(resume, lost, news))
            assert await desk.keeper.until(lambda: all(one.is_open for one in desk.keeper.views()), 60)
            back_s.append(time.monotonic() - begun_s)
        for guest in guests:
            await guest.leave()
    return {
        f"{backend}_told_worst_s": max(told_s),
        f"{backend}_resume_median_s": median(resumed_s),
        f"{backend}_resume_worst_s": max(resumed_s),
        f"{backend}_sessions_resumed": float(len(resumed_s)),
        f"{backend}_worker_back_s": median(back_s),
    }


@contextlib.asynccontextmanager
async def front(backend: str, workers: int) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """Run a front with `workers` of `backend`; yield a client for it and its desk."""
    import uvicorn

    registry = Registry(TABLE)
    flags = [("server.workers", workers), ("cluster.backend", backend), ("log.level", "error")]
    settings = read_settings(registry, flags=flags, environ={}).settings
    app = build_front(settings, registry, backend_of(settings, registry), page=False)
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(app, settings))
    serving = asyncio.create_task(server.serve(sockets=[door]))
    desk = app.state.desk
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        try:
            ready = lambda: sum(one.is_open for one in desk.keeper.views()) == workers  # noqa: E731
            if not await desk.keeper.until(ready, 120):
                raise RuntimeError("the workers did not start")
            yield http, desk
        finally:
            server.should_exit = True
            await serving
            door.close()
