"""A front with real workers, served on a free port by the test's own loop, and a client that comes back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from app.cluster.desk import Desk
from app.cluster.front import build_front
from app.cluster.pool import Backend
from app.cluster.serve import backend_of
from realtime.core.clock import NS_PER_S
from tests.app import stages
from tests.app.test_loopback import Watcher

SIDE = 96
PATTERN = {"source": {"kind": "pattern", "rate_hz": 10}, "settings": {"size_px": SIDE}}


@dataclass
class Cluster:
    """A running front."""

    http: httpx.AsyncClient
    desk: Desk
    url: str

    async def all_open(self, count: int, timeout_s: float = 60) -> None:
        """Wait until `count` workers take sessions."""
        ready = lambda: sum(one.is_open for one in self.desk.keeper.views()) == count  # noqa: E731
        assert await self.desk.keeper.until(ready, timeout_s), self.desk.keeper.views()

    async def made(self, body: dict[str, Any] | None = None) -> str:
        answer = await self.http.post("/api/sessions", json=PATTERN if body is None else body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["events"] == f"sessions/{made['id']}/events"
        return str(made["id"])

    def pid(self, worker: str) -> int:
        return self.desk.keeper.line(worker).address.pid


@asynccontextmanager
async def cluster(backend: Backend | None = None, **flags: Any) -> AsyncIterator[Cluster]:
    """Run a front and its workers for as long as the block."""
    table = stages.registry()
    given = {"server__workers": 2, "server__max_sessions": 4, "server__drain_timeout_s": 0.2, **flags}
    settings = stages.settings(table, **given)
    app = build_front(settings, table, backend or backend_of(settings, table), page=False)
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, ws=app.state.splicing, timeout_graceful_shutdown=1)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[door]))
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        try:
            yield Cluster(http, app.state.desk, url)
        finally:
            server.should_exit = True
            await serving
            door.close()


class Guest:
    """A client that looks at one session, and offers anew when it is told or sees that its worker is gone."""

    def __init__(self, http: httpx.AsyncClient, session_id: str) -> None:
        self.http = http
        self.id = session_id
        self.watcher = Watcher()

    async def come(self, pictures: int = 3) -> None:
        await self.watcher.join(self.http, self.id)
        await self.watcher.pictures(pictures)

    async def come_again(self) -> float:
        """Offer anew to the same session; return the seconds until a painted picture is there."""
        begun_ns = time.monotonic_ns()
        old, self.watcher = self.watcher, Watcher()
        await self.come(1)
        took_s = (time.monotonic_ns() - begun_ns) / NS_PER_S
        await old.close()
        return took_s

    async def leave(self) -> None:
        await self.watcher.close()
