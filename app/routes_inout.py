"""The routes of outgoing streams, recordings and captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from pydantic import ValidationError

from realtime.core.errors import ConfigError

from .captions import WRITERS
from .layers import sentence
from .manager import SessionUnknown
from .outputs import OutputBody, start_output
from .settings import Section
from .taps import View
from .visitors import asking

if TYPE_CHECKING:
    from .server import Studio
    from .session import Session

B = TypeVar("B", bound=Section)
_TYPES = {
    ".mp4": "video/mp4",
    ".zip": "application/zip",
    ".jsonl": "application/jsonl",
    ".srt": "application/x-subrip; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
}
HEARS_HINT = "A session of a preset that hears has some: python -m app --preset hear."


class RecordingBody(Section):
    """Body of POST /api/sessions/{id}/recordings."""

    picture: View = "painted"
    sound: bool = True


def read_body(schema: type[B], body: dict[str, Any]) -> B:
    """Check a body, once it is known that the session is the visitor's. Raises ConfigError."""
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        raise sentence(error, schema) from error


async def _started(session: Session) -> None:
    session.start_source()


def add_routes(app: FastAPI, studio: Studio) -> None:
    """Add them to `app`."""
    manager, settings = studio.manager, studio.settings

    @app.post("/api/sessions/{session_id}/outputs", status_code=201)
    def begin_output(session_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a session's pictures and sound somewhere: rtmp, rtsp, hls, file or camera.

        A session whose source is the server's own then needs nobody to watch it, and ends when it is told to.
        """
        session = manager.get(session_id)
        wish = read_body(OutputBody, body)
        output_id = start_output(session.outputs, wish, settings, is_local=asking().is_local)
        studio.loop.submit(_started(session))
        return {"id": output_id}

    @app.get("/api/sessions/{session_id}/outputs")
    def outputs(session_id: str) -> dict[str, Any]:
        """List them, with their figures."""
        return {"outputs": manager.get(session_id).outputs.listed()}

    @app.delete("/api/sessions/{session_id}/outputs/{output_id}", status_code=204)
    def end_output(session_id: str, output_id: str) -> Response:
        """End one in order."""
        manager.get(session_id).outputs.stop(output_id)
        return Response(status_code=204)

    @app.post("/api/sessions/{session_id}/recordings", status_code=201)
    def record(session_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Begin to record a session."""
        session = manager.get(session_id)
        manager.recordings.check_allowed(asking().is_local)
        wish = read_body(RecordingBody, body)
        return {"name": manager.recordings.start(session, picture=wish.picture, sound=wish.sound)}

    @app.get("/api/sessions/{session_id}/recordings")
    def recordings(session_id: str) -> dict[str, Any]:
        """List a session's recordings, also after it has ended."""
        found = manager.recordings.listed(session_id)
        if not found:
            manager.get(session_id)  # a stranger learns nothing of a session, not even that it has none
        return {"recordings": found}

    @app.get("/api/sessions/{session_id}/recordings/{name}")
    def download(session_id: str, name: str) -> FileResponse:
        """Give a film, or its event track."""
        try:
            path = manager.recordings.path(session_id, name)
        except ConfigError as error:
            raise SessionUnknown(error.message, hint=error.hint) from error
        return FileResponse(path, media_type=_TYPES[path.suffix], filename=path.name)

    @app.get("/api/sessions/{session_id}/captions.{kind}")
    def captions(session_id: str, kind: str) -> Response:
        """Give what was said so far in a session that hears, also for a while after it has ended."""
        text = manager.captions.written(session_id, kind)
        if text is None:
            manager.get(session_id)
            known = ", ".join(WRITERS)
            raise SessionUnknown("There are no such captions.", hint=f"{HEARS_HINT} Kinds: {known}.")
        name = f'attachment; filename="captions.{kind}"'
        return Response(text, media_type=_TYPES[f".{kind}"], headers={"Content-Disposition": name})

    @app.delete("/api/sessions/{session_id}/recordings/{name}", status_code=204)
    def end_recording(session_id: str, name: str) -> Response:
        """End a recording; it can be downloaded for a while."""
        manager.recordings.stop(manager.get(session_id), name)
        return Response(status_code=204)
