"""The front: page and public routes in one process that paints nothing; sessions live in workers behind it.

A call that names a session goes to its worker as it is and comes back as it is. The front answers itself what
needs no session: making one, uploads, looks, health, metrics, and which workers there are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from app.bodies import CreateBody
from app.doors import add_doors, doors
from app.incoming import NotAllowed
from app.manager import SessionUnknown
from app.outside import Outside
from app.server import (
    FORM_OVERHEAD_BYTES,
    UPLOAD_PATH,
    UPLOAD_PIECE_BYTES,
    add_errors,
    looks_body,
)
from app.stream_http import is_open_to
from app.visitors import asking
from realtime.core.channel import Channel, Drop
from realtime.core.errors import ChannelClosed

from .desk import Desk
from .far import FarSessions
from .figures import front_figures, health, merged
from .line import WorkerLost
from .pool import Backend
from .record import Refused
from .splice import OURS, splicing
from .streams import METHODS, add_streams

if TYPE_CHECKING:
    import httpx

    from app.registry import Registry
    from app.settings import Settings

HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)
"""Headers that belong to one connection (RFC 9110, 7.6.1), and the length, which the client sets anew."""
PRIVATE = frozenset({"cookie", "set-cookie", "authorization"})
"""Between client and front: a worker trusts the front alone."""
BEAT_S = 15.0


def build_front(settings: Settings, registry: Registry, backend: Backend, *, page: bool = True) -> FastAPI:
    """Return the front's app; `app.state.desk` holds its sessions. Workers live as long as its lifespan."""
    desk = Desk(settings, registry, backend)
    outside = Outside()
    far = FarSessions(desk)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        far.loop = asyncio.get_running_loop()
        await desk.keeper.start()
        try:
            yield
        finally:
            await desk.stop()

    app = FastAPI(
        title="vitascope",
        summary="Sessions and signalling; sessions live in workers.",
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=life,
    )
    app.state.desk = desk
    app.state.outside = outside
    add_errors(app)
    _add_errors(app)
    _add_routes(app, desk)
    _add_sessions(app, desk)
    add_streams(app, desk)
    if page:
        from app.port import Port
        from ui.page import mount

        app = mount(app, Port(far), "/")
    server = settings.server
    found = doors(
        server,
        desk.clock,
        upload_path=UPLOAD_PATH,
        upload_bytes=(server.max_upload_mb << 20) + FORM_OVERHEAD_BYTES,
        outside=outside,
        is_open_to=is_open_to(server),
    )
    add_doors(app, found)
    app.state.splicing = splicing(desk, found)
    return app


def _add_routes(app: FastAPI, desk: Desk) -> None:
    @app.post(UPLOAD_PATH, status_code=201)
    async def upload(file: UploadFile) -> dict[str, str]:
        """Take a video file for a session of kind "file"."""

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await file.read(UPLOAD_PIECE_BYTES):
                yield piece

        return {"id": await desk.uploads.add(pieces())}

    @app.get("/api/looks")
    def looks() -> dict[str, Any]:
        """List the looks that the painter knows."""
        return looks_body(desk.settings, desk.registry)

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """Say how the workers are; 200 while the front is alive."""
        return health(desk)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Give the figures of the front and of all workers in Prometheus' text format."""
        texts = {"": front_figures(desk)}
        for name in list(desk.keeper.seats):
            try:
                texts[name] = (await desk.keeper.line(name).call("GET", "/metrics", timeout_s=2)).text
            except WorkerLost:
                continue  # vitascope_worker_up says so
        return PlainTextResponse(merged(texts), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.post("/api/workers/{name}/drain", status_code=202)
    async def drain(name: str) -> dict[str, Any]:
        """Move a worker's sessions elsewhere and end it; only from the server's own machine."""
        if not asking().is_local:
            raise NotAllowed("Only someone at the server's own machine may empty a worker.")
        if name not in desk.keeper.seats:
            raise SessionUnknown(f'There is no worker "{name[:40]}".', hint="See /healthz.")
        desk.start(desk.drain(name))
        return {"worker": name, "sessions": desk.keeper.seats[name].load.sessions}


def _add_sessions(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/sessions", status_code=201)
    async def create(body: CreateBody) -> dict[str, Any]:
        """Make a session at the least loaded worker; offer to it next, and listen to its events."""
        source = body.source.model_dump(mode="json")
        made = await desk.create(source, body.settings, is_local=asking().is_local, journal=body.journal)
        return {**made, "events": f"sessions/{made['id']}/events"}

    @app.get("/api/sessions/{session_id}/events")
    async def events(session_id: str) -> StreamingResponse:
        """Tell at once when a session is moved or ends, as server-sent events; offer again after a "move"."""
        record = desk.record(session_id)
        heard: Channel[dict[str, Any]] = Channel("front-events", capacity=8, drop=Drop.OLDEST)
        record.listeners.add(heard)

        async def lines() -> AsyncIterator[bytes]:
            try:
                while True:
                    try:
                        async with asyncio.timeout(BEAT_S):
                            event = await heard.aget()
                    except TimeoutError:
                        yield b": still here\n\n"
                        continue
                    yield b"data: " + json.dumps(event).encode() + b"\n\n"
            except ChannelClosed:
                return
            finally:
                record.listeners.discard(heard)

        return StreamingResponse(lines(), media_type="text/event-stream")

    @app.post("/api/sessions/{session_id}/close", status_code=204)
    async def close(session_id: str) -> Response:
        """End a session without waiting; an unknown id is no error."""
        desk.start(desk.close(session_id, "The page was closed."))
        return Response(status_code=204)

    @app.api_route("/api/sessions/{session_id}", methods=METHODS, include_in_schema=False)
    @app.api_route("/api/sessions/{session_id}/{rest:path}", methods=METHODS, include_in_schema=False)
    async def forward(session_id: str, request: Request) -> Response:
        """Pass the call on to the session's worker."""
        record = desk.record(session_id)
        if request.method == "PATCH" and request.url.path.endswith("/settings"):
            await desk.configure(session_id, await _changes(request))
            answer = await desk.send("GET", f"/api/sessions/{session_id}", session_id=session_id)
            await answer.aread()
            await answer.aclose()
            return JSONResponse({"settings": answer.json().get("settings", {})})
        client = request.client.host if request.client is not None else "unknown"
        headers = {k: v for k, v in request.headers.items() if k not in OURS | HOP | PRIVATE}
        answer = await desk.send(
            request.method,
            request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            session_id=session_id,
            content=await request.body() or None,
            # Without it the worker takes the call for one of this machine's own, as it is for a local client.
            headers=headers if asking().is_local else {**headers, "x-forwarded-for": client},
        )
        if answer.is_success and request.url.path.endswith("/offer"):
            desk.came_over(record)
        if answer.is_success and request.method == "DELETE" and request.url.path.endswith(session_id):
            desk.forget(record, "It was closed.")
        return _passed_on(answer)


def _passed_on(answer: httpx.Response) -> StreamingResponse:
    """Return a worker's answer as it is, piece by piece."""

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:
            await answer.aclose()

    headers = {k: v for k, v in answer.headers.items() if k not in HOP | PRIVATE | {"date", "server"}}
    return StreamingResponse(pieces(), answer.status_code, headers)


async def _changes(request: Request) -> Mapping[str, Any]:
    from fastapi.exceptions import RequestValidationError

    try:
        changes = await request.json()
    except ValueError as error:
        raise RequestValidationError([{"loc": ("body",), "type": "json_invalid", "msg": ""}]) from error
    if not isinstance(changes, dict):
        seen = {"loc": ("body",), "type": "dict_type", "msg": "it should be an object"}
        raise RequestValidationError([seen])
    return changes


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        """Pass on what the worker said."""
        kept = {k: v for k, v in error.answer.headers.items() if k in ("retry-after", "content-type")}
        return Response(error.answer.content, error.answer.status_code, kept)
