"""The app on a real port, in a thread of this process: for clients that are not written in Python."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from app.server import Studio, build_app
from app.streams import Streams
from tests.app import stages

STARTS_WITHIN_S = 20.0


@dataclass(frozen=True)
class Live:
    """A running server."""

    url: str
    studio: Studio
    streams: Streams

    def names(self) -> list[str]:
        """Return the names of the streams that run."""

        async def asked() -> list[str]:
            return self.streams.names()

        return self.studio.loop.submit(asked()).result(10)


class _Server(uvicorn.Server):
    """Tell when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextmanager
def live_server(stage: str = "Invert", **flags: Any) -> Iterator[Live]:
    """Serve the app with the test stage `stage` on a free port of 127.0.0.1."""
    table = stages.registry(stage)
    app = build_app(stages.settings(table, **flags), table, page=False)
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, name="live-server", daemon=True)
    thread.start()
    try:
        assert server.listens.wait(STARTS_WITHIN_S), "the server did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Live(f"http://127.0.0.1:{port}", app.state.studio, app.state.streams)
    finally:
        server.should_exit = True
        thread.join(20)


def main() -> None:
    """Serve until it is ended: python -m tests.app.live HOST PORT [section__name=value ...]"""
    host, port, *given = sys.argv[1:]
    flags = dict(one.split("=", 1) for one in given)
    table = stages.registry()
    app = build_app(stages.settings(table, **flags), table, page=False)
    uvicorn.run(app, host=host, port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
