"""A worker process: the application without its page, for a front only, until the front goes.

Started as `python -m app.cluster.worker` with one line of JSON on its standard input (`Setup`). It answers
with one line on its standard output (`Address`) once it serves. Its input then stays open and empty: when
that ends, the front has gone, however it went, and the worker ends too.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.steering import Steering

from .pool import Address

if TYPE_CHECKING:
    from app.manager import SessionManager
    from app.settings import Settings

TELL_S = 0.25
"""How often a worker looks for something to tell; a line of load goes with each look."""
KEEP_ALIVE_S = 75
"""Longer than the front keeps an idle connection, so that it is the front that closes one."""
END_S = 15.0


@dataclass(frozen=True, slots=True)
class Setup:
    """Hold what a worker needs to be told at its start."""

    settings: Mapping[str, Any]
    stages: Mapping[str, str]
    """The table of stages (app/registry.py)."""
    host: str = "127.0.0.1"
    """Where it listens, on a free port."""

    @classmethod
    def of(cls, settings: Settings, stages: Mapping[str, str], host: str = "127.0.0.1") -> Setup:
        handed = json.loads(json.dumps(settings.model_dump(), default=_plain))
        # Only the front calls a worker, by a token of its own, and it has judged who may ask for what.
        handed["server"] |= {"password": "", "token": "", "max_sessions_per_visitor": 256, "max_waiting": 0}
        handed["server"] |= {"starts_per_minute": 100_000, "allowed_hosts": []}
        return cls(handed, dict(stages), host)

    def as_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def _plain(value: Any) -> Any:
    """Write what JSON has no word for; a secret is written out, since the other end must know it."""
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a setting of type {type(value).__name__} cannot be handed to a worker")


class Serving:
    """Serve one worker's application on a free port of `setup.host`: `run` blocks until `stop`."""

    def __init__(self, setup: Setup) -> None:
        import uvicorn

        from app import logs
        from app.registry import Registry
        from app.serve import SWITCH_INTERVAL_S, server_config
        from app.settings import settings_type

        from .worker_app import worker_app

        sys.setswitchinterval(SWITCH_INTERVAL_S)
        registry = Registry(setup.stages)
        settings = settings_type(registry)(**setup.settings)
        server = settings.server.model_copy(update={"host": setup.host, "open_browser": False, "workers": 0})
        settings = settings.model_copy(update={"server": server})
        logs.set_up(settings.log.level, as_json=settings.log.as_json)
        secret = secrets.token_urlsafe(24)
        family = socket.AF_INET6 if ":" in setup.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.bind((setup.host, 0))
        port = self._socket.getsockname()[1]
        host = f"[{setup.host}]" if ":" in setup.host else setup.host
        self.address = Address(f"http://{host}:{port}", secret, os.getpid())
        self.started = threading.Event()
        started = self.started

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                started.set()

        config = server_config(worker_app(settings, registry, secret), settings)
        config.timeout_keep_alive = KEEP_ALIVE_S
        self._server = Server(config)

    def run(self) -> None:
        """Serve until `stop` or a signal; sessions end with it."""
        self._server.run(sockets=[self._socket])
        self._socket.close()

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._server.should_exit = True


async def news(manager: SessionManager, bodies: dict[str, dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Yield what a front must know: the load at each look, and sessions that are new, changed or gone.

    `bodies` are those that sessions were made from; a front that has begun anew learns them from here.
    """
    told: dict[str, dict[str, Any]] = {}
    own = Steering(manager.settings, manager.registry, {}).values()
    while True:
        running = {session.id: session for session in manager.sessions}
        for gone in told.keys() - running.keys():
            del told[gone]
            bodies.pop(gone, None)
            yield {"type": "ended", "id": gone, "why": manager.why(gone)}
        for session_id, session in running.items():
            now = {k: v for k, v in session.wiring.settings().items() if v != own.get(k)}
            if told.get(session_id) != now:
                told[session_id] = now
                yield {**bodies.get(session_id, {}), "type": "session", "id": session_id, "settings": now}
        yield {"type": "load", **load_of(manager)}
        await asyncio.sleep(TELL_S)


def load_of(manager: SessionManager) -> dict[str, Any]:
    """Return what `pool.Load` holds."""
    engine = manager.warmth.engine
    return {
        "sessions": len(manager),
        "max_sessions": manager.settings.server.max_sessions,
        "stage_ms_p95": manager.stage_ms_p95(),
        "phase": manager.warmth.phase,
        "engine": [engine["name"], engine.get("why", "")] if engine else None,
    }


def main() -> int:
    """Serve until the standard input ends."""
    setup = Setup(**json.loads(sys.stdin.buffer.readline()))
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not be taken for the answer
    serving = Serving(setup)

    def until_the_front_goes() -> None:
        if serving.started.wait(600):
            answer.write(json.dumps(asdict(serving.address)).encode() + b"\n")
            answer.close()
        sys.stdin.buffer.read()
        serving.stop()
        threading.Event().wait(END_S)
        # Something hangs; the front is gone, and nobody else would end it and what it has started.
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=until_the_front_goes, name="lifeline", daemon=True).start()
    serving.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
