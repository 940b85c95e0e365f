"""What a worker serves beside the usual routes: sessions under ids that the front chose, and its news."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from app.bodies import CreateBody
from app.registry import Registry
from app.server import build_app, created
from app.settings import Settings
from app.streams import Streams

from .token import TokenGuard
from .worker import news


class PlaceBody(CreateBody):
    """Body of POST /worker/sessions."""

    id: str = Field(min_length=16, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    is_local: bool = False
    """Whether the client sits at the front's machine."""


def worker_app(settings: Settings, registry: Registry, secret: str) -> FastAPI:
    """Return the application of a worker, whose callers sign with `secret`."""
    app = build_app(settings, registry, page=False)
    studio = app.state.studio
    manager, loop = studio.manager, studio.loop
    bodies: dict[str, dict[str, Any]] = {}

    @app.post("/worker/sessions", status_code=201)
    async def place(body: PlaceBody) -> dict[str, Any]:
        """Make the session that the front names."""
        session = await loop.do(
            manager.create(
                body.source,
                body.settings,
                is_local=body.is_local,
                keep_journal=body.journal,
                session_id=body.id,
            )
        )
        bodies[body.id] = body.model_dump(mode="json", include={"source", "is_local"})
        return created(manager, session)

    @app.post("/worker/sessions/{session_id}/move", status_code=204)
    async def move(session_id: str) -> Response:
        """Ask the session's client to offer anew: the same id is served by another worker now."""
        message = "This server is being changed; your session goes on at another."
        manager.get(session_id).outbox.put({"type": "move", "message": message})
        return Response(status_code=204)

    @app.get("/worker/news")
    async def tell() -> StreamingResponse:
        """Tell all that the front must know, one JSON object a line, for as long as it listens."""

        async def lines() -> AsyncIterator[bytes]:
            told: list[str] = []
            async for event in news(manager, bodies):
                # A worker whose media loop hangs falls silent, and is taken for dead.
                names = await loop.do(_names(app.state.streams))
                if names != told:
                    told = names
                    yield _line({"type": "streams", "names": names})
                yield _line(event)

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    app.add_middleware(TokenGuard, secret=secret)
    return app


async def _names(streams: Streams) -> list[str]:
    return streams.names()


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
