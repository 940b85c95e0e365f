"""The whole application with a tiny stage, served on a thread: for browsers, which need a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from app.serve import server_config
from app.server import Studio, build_app
from tests.app import stages


@dataclass
class Served:
    """Where it is, and what runs there."""

    port: int
    studio: Studio

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(stage: str = "Invert", **flags: Any) -> Iterator[Served]:
    """Serve the page with a stage of tests/app/stages.py until the block ends."""
    table = stages.registry(stage)
    settings = stages.settings(table, **flags)
    app = build_app(settings, table)
    config = server_config(app, settings)
    config.port = 0
    server = uvicorn.Server(config)
    up = threading.Event()
    begin = server.startup

    async def startup(sockets: Any = None) -> None:
        await begin(sockets)
        up.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, name="served", daemon=True)
    thread.start()
    assert up.wait(60)
    try:
        yield Served(server.servers[0].sockets[0].getsockname()[1], app.state.studio)
    finally:
        server.should_exit = True
        thread.join(20)
