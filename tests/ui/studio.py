"""A small real server for the page: its routes, satisfied by peers that paint by inverting the picture.

No model and no graph, so that what a browser's test sees is the page. `python -m tests.ui.studio` serves it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from realtime.core.channel import Channel
from realtime.core.errors import ConfigError, SessionError, VitascopeError
from realtime.core.frame import AudioChunk, Frame
from realtime.core.stage import Live
from realtime.link import Ends
from realtime.sources.pattern import PatternSource
from realtime.webrtc.peer import Peer
from ui.page import mount
from ui.port import EngineBadge, Fold, Look, Vocabulary

SIDE_PX = 256
BADGE = EngineBadge("openvino, fp32", "TensorRT was refused: there is no NVIDIA GPU. OpenVINO came next.")
MODELS = Path(__file__).parents[2] / "models" / "painter"


class Settings(BaseModel):
    """What a painter lets a person turn; the shapes of all kinds of controls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Annotated[str, Live()] = Field("pencil sketch", max_length=2000, description="What to paint.")
    strength: Annotated[float, Live()] = Field(
        1.0, ge=0, le=1, description="How far the painting may leave the picture."
    )
    steps: Annotated[int, Live()] = Field(1, ge=1, le=4, description="More steps are finer and slower.")
    seed: Annotated[int, Live()] = Field(
        0, ge=0, le=2**32 - 1, description="Another number, another grain; the same number, the same."
    )
    size_px: int = Field(256, ge=192, le=512, multiple_of=32, description="Side of the painted square.")
    guidance: Annotated[Literal["none", "full"], Live()] = Field(
        "none",
        description="Full follows the prompt more closely at twice the work.",
        json_schema_extra={"advanced": True},
    )
    engine: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="What runs the model.", json_schema_extra={"advanced": True}
    )


def vocabulary() -> Vocabulary:
    """Return three looks, three moods and a synonym."""
    return Vocabulary(
        looks=(
            Look("pencil", "Pencil", "pencil sketch", "Graphite lines.", ("pencil sketch", "pencil")),
            Look("oil", "Oil", "oil painting", "Brush strokes.", ("oil painting", "thick brush strokes")),
            Look("neon", "Neon", "neon lines", "Glowing contours.", ("neon lines", "neon")),
        ),
        moods={"warm": ("warm", "sepia"), "cool": ("cool", "cool blue"), "dark": ("dark",)},
        strengths={"slightly": 0.5, "strongly": 1.0},
        synonyms={"van gogh": "oil painting, warm", "brush": "oil painting"},
    )


class StudioPort:
    """Satisfy `ui.port.StudioPort`; `configured` remembers every call."""

    def __init__(self, words: Vocabulary | None = None) -> None:
        self.words = words or vocabulary()
        self.configured: list[tuple[str, dict[str, Any]]] = []
        self.refuse: VitascopeError | None = None
        self.beside: list[Fold] = []
        self.listens = self.is_asked = False
        self._news = threading.Condition()

    def schema(self) -> type[BaseModel]:
        return Settings

    def defaults(self) -> Mapping[str, Any]:
        return Settings().model_dump()

    def folds(self) -> Sequence[Fold]:
        return self.beside

    def vocabulary(self) -> Vocabulary:
        return self.words

    def hears(self) -> bool:
        return self.listens

    def writes(self) -> bool:
        return False

    def answers(self) -> bool:
        return self.is_asked

    def engine(self) -> EngineBadge:
        return BADGE

    def configure(self, session_id: str, settings: Mapping[str, Any]) -> None:
        if self.refuse is not None:
            raise self.refuse
        if any(not 0 <= float(settings.get(name, 0)) <= 2**32 for name in ("strength", "seed")):
            raise ConfigError("That value cannot be.", hint="Choose another.")
        with self._news:
            self.configured.append((session_id, dict(settings)))
            self._news.notify_all()

    def wait_for(
        self, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 15.0
    ) -> dict[str, Any]:
        """Wait until some call's settings satisfy `condition` and return them."""

        def found() -> dict[str, Any] | None:
            return next((made for _, made in self.configured if condition(made)), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None, timeout_s)
            made = found()
        assert made is not None, f"no such call among {self.configured}"
        return made


def tiny_jpeg() -> bytes:
    """Return a grey picture."""
    file = BytesIO()
    Image.new("RGB", (64, 48), "grey").save(file, "JPEG")
    return file.getvalue()


class LoopbackSession:
    """Paint one browser's pictures, or the test pattern, by inverting them."""

    def __init__(self, name: str, kind: str, *, is_ready: bool) -> None:
        self.name = name
        self.kind = kind
        self.closed = threading.Event()
        self.told_to_close = threading.Event()
        self.painted: Channel[Frame] = Channel(f"{name}-painted")
        self.sound: Channel[AudioChunk] = Channel(f"{name}-sound", 10)
        self.is_loud = threading.Event()
        self.heard = threading.Event()
        self.messages: SimpleQueue[dict[str, Any]] = SimpleQueue()
        """What the page said, but for its pings."""
        self.peer = Peer(
            Ends(
                name=name,
                painted=self.painted,
                sound=self.sound,
                on_frame=self._paint if kind == "webrtc" else None,
                on_audio=self._echo,
                on_message=self._hear,
                on_state=self._follow,
                size_px=SIDE_PX,
            )
        )
        self._is_ready = is_ready
        self._count = 0
        self._source: PatternSource | None = None
        self._telling: asyncio.Task[None] | None = None

    def _paint(self, frame: Frame) -> None:
        if self._is_ready:
            self._count += 1
            self.painted.put(Frame(frame.stamp, 255 - frame.pixels))

    def _echo(self, chunk: AudioChunk) -> None:
        self.heard.set()
        if self.is_loud.is_set():
            self.sound.put(chunk)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] != "ping":
            self.messages.put(message)
        if "sound" in message.get("settings", {}):
            (self.is_loud.set if message["settings"]["sound"] else self.is_loud.clear)()

    def _follow(self, state: str) -> None:
        if state == "connected" and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())
            if self._is_ready:
                self.ready()
            else:
                self.peer.send({"type": "progress", "message": "Building the engine.", "fraction": 0.4})
        elif state in ("failed", "closed"):
            asyncio.get_running_loop().create_task(self.close())

    def ready(self) -> None:
        """Let pictures come, on the loop."""
        self._is_ready = True
        self.peer.send({"type": "ready", "engine": {"name": BADGE.name, "why": BADGE.why}})
        if self.kind != "webrtc" and self._source is None:
            self._source = PatternSource(SIDE_PX, SIDE_PX, 15.0)
            self._source.start(self._paint)

    async def _tell(self) -> None:
        begun_s, last = time.monotonic(), 0
        while True:
            await asyncio.sleep(0.5)
            if not self._is_ready:
                continue
            work_ms = 46 + 9 * ((time.monotonic() - begun_s) % 3)
            stats = self.painted.stats()
            figures = {"age_p95_ms": work_ms + 22, "wait_ms": 6.1, "work_ms": work_ms, "send_ms": 9.4}
            fps, last = 2.0 * (self._count - last), self._count
            if self.kind == "webrtc":
                figures |= {"painted_fps": fps / 3, "paint_age_p50_ms": 133.4}
                self.peer.send({"type": "motion", "camera_moves": True, "things_move": False, "speed": 0.2})
            self.peer.send({"type": "stats", "fps": fps, "dropped": stats.dropped, **figures})

    async def close(self) -> None:
        """End; twice does no harm."""
        if self._telling is not None:
            self._telling.cancel()
        if self._source is not None:
            await asyncio.to_thread(self._source.stop)
        self.painted.close()
        self.sound.close()
        await self.peer.close()
        self.closed.set()


class Studio:
    """Hold the sessions of the test server, and what it is told to do wrong."""

    def __init__(self, words: Vocabulary | None = None) -> None:
        self.port = StudioPort(words)
        self.sessions: list[LoopbackSession] = []
        self.bodies: list[dict[str, Any]] = []
        self.is_busy = False
        self.places: list[int] = []
        """Places in the queue that are told in this order before a session is made; 0 is one's turn."""
        self.left: list[str] = []
        """Tickets that were given back."""
        self.forgotten: list[str] = []
        """Sessions whose memory was deleted."""
        self.is_ready = True
        self.url = ""
        self.loop: asyncio.AbstractEventLoop | None = None

    def app(self) -> FastAPI:
        """Return the routes of `ui/port.py` with the page at "/"."""

        @asynccontextmanager
        async def life(app: FastAPI) -> AsyncIterator[None]:
            self.loop = asyncio.get_running_loop()
            yield
            await asyncio.gather(*(session.close() for session in self.sessions))

        app = FastAPI(lifespan=life)

        @app.exception_handler(VitascopeError)
        async def told(request: Request, error: VitascopeError) -> JSONResponse:
            said = {"message": error.message, "hint": error.hint, "kind": type(error).__name__}
            return JSONResponse({"error": said}, 503 if self.is_busy else 422)

        def place() -> dict[str, Any]:
            at = self.places.pop(0)
            told = {"ticket": "t1", "place": at or 1, "of": 9, "is_turn": at == 0, "retry_after_s": 0.3}
            return told

        @app.get("/api/tickets/{ticket}")
        async def look(ticket: str) -> Any:
            return place() if self.places else JSONResponse({"error": {"message": "It is void."}}, 404)

        @app.post("/api/tickets/{ticket}/close", status_code=204)
        async def leave(ticket: str) -> Response:
            self.left.append(ticket)
            return Response(status_code=204)

        @app.post("/api/sessions", status_code=201)
        async def create(body: dict[str, Any]) -> Any:
            self.bodies.append(body)
            if self.places:
                return JSONResponse(place(), 202)
            if self.is_busy:
                raise SessionError("All 2 places are taken.", hint="Try again in a minute.")
            session = LoopbackSession(
                f"s{len(self.sessions)}", body["source"]["kind"], is_ready=self.is_ready
            )
            self.sessions.append(session)
            return {"id": session.name, "engine": {"name": BADGE.name, "why": BADGE.why}}

        @app.post("/api/sessions/{name}/recordings", status_code=201)
        async def record(name: str, body: dict[str, Any]) -> dict[str, str]:
            self._find(name).peer.send({"type": "recording", "on": True, "name": "film.mp4"})
            return {"name": "film.mp4"}

        @app.delete("/api/sessions/{name}/recordings/film.mp4", status_code=204)
        async def end(name: str) -> Response:
            self._find(name).peer.send({"type": "recording", "on": False, "name": "film.mp4"})
            return Response(status_code=204)

        @app.get("/api/sessions/{name}/recordings/film.mp4")
        async def film(name: str) -> Response:
            return Response(b"film", media_type="video/mp4")

        @app.get("/api/sessions/{name}/pictures/{number}")
        async def picture(name: str, number: int) -> Response:
            return (
                Response(tiny_jpeg(), media_type="image/jpeg") if number == 7 else Response(status_code=404)
            )

        @app.delete("/api/sessions/{name}/memory")
        async def forget(name: str) -> dict[str, int]:
            self.forgotten.append(name)
            return {"forgotten": 3}

        @app.post("/api/sessions/{name}/offer")
        async def offer(name: str, body: dict[str, str]) -> dict[str, str]:
            return {"type": "answer", "sdp": await self._find(name).peer.answer(body["sdp"])}

        @app.post("/api/sessions/{name}/close", status_code=204)
        async def close(name: str) -> Response:
            session = self._find(name)
            session.told_to_close.set()
            await session.close()
            return Response(status_code=204)

        @app.post("/api/files", status_code=201)
        async def upload(file: UploadFile) -> dict[str, str]:
            return {"id": f"file-{len(await file.read())}"}

        return mount(app, self.port)

    def _find(self, name: str) -> LoopbackSession:
        return next(session for session in self.sessions if session.name == name)

    def on_loop(self, call: Callable[[], object]) -> None:
        """Run `call` on the server's loop and wait for it."""
        assert self.loop is not None
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (call(), done.set()))
        assert done.wait(10)

    @contextmanager
    def serving(self, port: int = 0):  # type: ignore[no-untyped-def]
        """Serve on a thread; `url` is set inside the block."""
        server = uvicorn.Server(
            uvicorn.Config(
                self.app(), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2
            )
        )
        up = threading.Event()
        begin = server.startup

        async def startup(sockets: Any = None) -> None:
            await begin(sockets)
            up.set()

        server.startup = startup  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run, name="studio", daemon=True)
        thread.start()
        assert up.wait(60)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(15)


if __name__ == "__main__":
    with Studio(Vocabulary.read(MODELS)).serving(7861) as studio:
        print(studio.url)
        threading.Event().wait()
