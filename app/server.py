"""The ASGI app: sessions and signalling, files, looks, health, metrics, and the page mounted at "/".

Routes only translate: a body becomes a call on the media loop, an error of the tree becomes a status and the
body `{"error": {"message", "hint", "kind"}}`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from realtime.core.errors import (
    ConfigError,
    ModelError,
    SessionError,
    UnsupportedMedia,
    VitascopeError,
)
from realtime.sources.address import AddressRefused
from realtime.webrtc.ice import NoWay

from .api_docs import describe
from .bodies import CreateBody, OfferBody
from .doors import add_doors, doors
from .incoming import NotAllowed
from .logs import session_in_log
from .loop import MediaLoop
from .manager import SessionManager, SessionsFull, SessionUnknown, TooManySessions
from .outside import Outside
from .recording import RecordingRefused
from .registry import Registry
from .routes_asking import add_routes as add_asking
from .routes_inout import add_routes as add_inout
from .settings import Settings
from .stream_http import is_open_to
from .tickets import add_tickets, session_or_place, told
from .visitors import asking
from .waiting import Place
from .whip import add_routes as add_stream_routes
from .wire import add_wire

if TYPE_CHECKING:
    from realtime.core.clock import Clock

    from .session import Session

log = logging.getLogger(__name__)

UPLOAD_PATH = "/api/files"
UPLOAD_PIECE_BYTES = 1 << 20
FORM_OVERHEAD_BYTES = 1 << 16
RETRY_AFTER_S = 20

STATUS: Mapping[type[VitascopeError], int] = {
    SessionsFull: 503,
    TooManySessions: 429,
    SessionUnknown: 404,
    NoWay: 503,
    NotAllowed: 403,
    AddressRefused: 403,
    RecordingRefused: 403,
    SessionError: 409,
    ConfigError: 422,
    UnsupportedMedia: 422,
    ModelError: 503,
}
"""The first class in this order that fits decides; any other error of the tree is a 500."""


class Studio:
    """Hold what one server runs: settings, the media loop and the sessions on it."""

    def __init__(
        self, settings: Settings, registry: Registry | None = None, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.outside = Outside()
        self.loop = MediaLoop()
        self.manager = SessionManager(settings, registry, clock=clock)

    def start(self) -> None:
        """Start the media loop and, if wished, the warming of the painter."""
        self.loop.start()
        if self.settings.server.warm:
            self.loop.submit(self._warm()).result()

    async def _warm(self) -> None:
        self.manager.warm()

    async def stop(self) -> None:
        """End all sessions and the loop."""
        await self.loop.do(self.manager.close_all())
        self.loop.stop()


def build_app(settings: Settings, registry: Registry | None = None, *, page: bool = True) -> FastAPI:
    """Return the app. Its life (media loop, warming, sessions) is bound to the ASGI lifespan."""
    studio = Studio(settings, registry)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        studio.start()
        try:
            yield
        finally:
            await studio.stop()

    app = FastAPI(
        title="vitascope",
        summary="Sessions and signalling; the page speaks to these routes too.",
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=life,
    )
    app.state.studio = studio
    add_errors(app)
    _add_routes(app, studio)
    add_wire(app, studio.manager, studio.loop)
    add_tickets(app, studio.manager, studio.loop)
    _add_health(app, studio)
    add_stream_routes(app, studio)
    add_inout(app, studio)
    add_asking(app, studio)
    describe(app)
    if page:
        from ui.page import mount

        from .port import Port

        app = mount(app, Port(studio.manager), "/")
    server = settings.server
    found = doors(
        server,
        studio.manager.clock,
        upload_path=UPLOAD_PATH,
        upload_bytes=(server.max_upload_mb << 20) + FORM_OVERHEAD_BYTES,
        is_open_to=is_open_to(server),
        outside=studio.outside,
    )
    add_doors(app, found)
    return app


def _add_routes(app: FastAPI, studio: Studio) -> None:
    manager, loop = studio.manager, studio.loop

    @app.post("/api/sessions", status_code=201)
    async def create(body: CreateBody) -> Any:
        """Make a session; offer to it next. When all places are taken, a ticket comes instead (202)."""
        session = await loop.do(session_or_place(manager, body, is_local=asking().is_local))
        return told(session) if isinstance(session, Place) else created(manager, session)

    @app.post("/api/sessions/{session_id}/offer")
    async def offer(session_id: str, body: OfferBody) -> dict[str, str]:
        """Answer a WebRTC offer (SDP); a second one renegotiates."""
        session = manager.get(session_id)
        with session_in_log(session_id):
            return {"type": "answer", "sdp": await loop.do(session.answer(body.sdp))}

    @app.get("/api/sessions/{session_id}/ice")
    def ice(session_id: str) -> dict[str, Any]:
        """Give the ICE servers with a login that lasts from now on: for a client that connects again."""
        return manager.ice.told(manager.get(session_id).id)

    @app.patch("/api/sessions/{session_id}/settings")
    def configure(session_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change live settings from the next picture on."""
        manager.configure(session_id, body)
        return {"settings": manager.get(session_id).settings()}

    @app.get("/api/sessions/{session_id}")
    def look_at(session_id: str) -> dict[str, Any]:
        """Say how a session is doing."""
        return manager.get(session_id).snapshot()

    @app.delete("/api/sessions/{session_id}", status_code=204)
    async def delete(session_id: str) -> Response:
        """End a session and wait for it."""
        await loop.do(manager.close(session_id))
        return Response(status_code=204)

    @app.post("/api/sessions/{session_id}/close", status_code=204)
    async def close(session_id: str) -> Response:
        """End a session without waiting: what a page sends as it goes away. An unknown id is no error."""
        with suppress(SessionUnknown):
            manager.get(session_id)
            loop.submit(manager.close(session_id, "The page was closed."))
        return Response(status_code=204)

    @app.post(UPLOAD_PATH, status_code=201)
    async def upload(file: UploadFile) -> dict[str, str]:
        """Take a video file for a session of kind "file"."""

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await file.read(UPLOAD_PIECE_BYTES):
                yield piece

        return {"id": await manager.uploads.add(pieces())}

    @app.get("/api/looks")
    def looks() -> dict[str, Any]:
        """List the looks that the painter knows."""
        return looks_body(studio.settings, manager.registry)


def _add_health(app: FastAPI, studio: Studio) -> None:
    @app.get("/healthz")
    def health() -> dict[str, Any]:
        """Say whether the painter is warm and how many sessions run; 200 while the server is alive."""
        manager = studio.manager
        return {
            "status": "ok",
            "painter": manager.warmth.snapshot(),
            "sessions": len(manager),
            "max_sessions": studio.settings.server.max_sessions,
            "free_sessions": max(0, studio.settings.server.max_sessions - len(manager)),
            "stage_ms_p95": round(manager.stage_ms_p95(), 2),
            "loop_lag_ms_p95": round(studio.loop.lag_ms.quantile(0.95), 2),
        }

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """Give the figures in Prometheus' text format."""
        from .exposition import prometheus

        return PlainTextResponse(
            prometheus(studio.manager, studio.loop), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def created(manager: SessionManager, session: Session) -> dict[str, Any]:
    """Return what a client is told about the session that was made for it."""
    answer: dict[str, Any] = {"id": session.id, "state": session.state.value}
    answer |= manager.ice.told(session.id)
    engine = manager.warmth.engine
    return {**answer, "engine": engine} if engine else answer


def looks_body(settings: Settings, registry: Registry) -> dict[str, Any]:
    """Return the words that the painter knows, as JSON. Raises ModelError without the model."""
    from .port import looks_of

    vocabulary = looks_of(settings, registry)
    return {
        "is_open": vocabulary.is_open,
        "looks": [
            {"id": look.id, "title": look.title, "prompt": look.prompt, "about": look.about}
            for look in vocabulary.looks
        ],
        "moods": {name: list(words) for name, words in vocabulary.moods.items()},
        "strengths": dict(vocabulary.strengths),
    }


def status_of(error: VitascopeError) -> int:
    """Return the HTTP status of an error of the tree."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def _body(message: str, hint: str, kind: str) -> dict[str, Any]:
    told = {"message": message, "hint": hint, "kind": kind}
    return {"error": {key: text.encode("utf-8", "replace").decode() for key, text in told.items()}}


def add_errors(app: FastAPI) -> None:
    @app.exception_handler(VitascopeError)
    async def known(request: Request, error: VitascopeError) -> JSONResponse:
        status = status_of(error)
        if status >= 500:
            log.warning("%s %s: %s", request.method, request.scope["route"].path, error.message)
        headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else {}
        return JSONResponse(_body(error.message, error.hint, type(error).__name__), status, headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        if first["type"] == "json_invalid":
            message = "The request is not valid JSON."
        elif first["type"] == "extra_forbidden":
            message = f"Unknown field {where} in the request."
        else:
            message = f"{where[:1].upper()}{where[1:]} in the request cannot be used: {first['msg']}."
        return JSONResponse(_body(message, "See /api/docs for what this route takes.", "BadRequest"), 422)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        message = {404: "There is no such route.", 405: "This route does not know that method."}.get(
            error.status_code, str(error.detail)
        )
        return JSONResponse(
            _body(message, "See /api/docs.", "HTTPError"), error.status_code, dict(error.headers or {})
        )

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises it again after this answer, so the server's log has the traceback.
        return JSONResponse(
            _body("A fault in the program.", "The server's log holds the details.", "Fault"), 500
        )
