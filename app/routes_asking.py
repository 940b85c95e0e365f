"""The routes of questions: ask, read what was answered, see the moments, forget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from perception.qa.desk import MAX_CHARS, Reply
from realtime.core.channel import Channel, Drop

from .manager import SessionUnknown
from .routes_inout import read_body
from .settings import Section

if TYPE_CHECKING:
    from .server import Studio

PARTS_HELD = 256
"""Parts of an answer that a slow reader may be behind; of growing texts, only the newest counts."""


class QuestionBody(Section):
    """Body of POST /api/sessions/{id}/questions."""

    question: str = Field(max_length=4 * MAX_CHARS)
    """A question, or a wish: "tell me when a dog comes in"."""
    wait_s: float = Field(30.0, ge=0, le=300)
    """How long to wait for the final answer; after that it is told as far as it is."""
    stream: bool = False
    """Tell each part as it comes, as server-sent events."""


def add_routes(app: FastAPI, studio: Studio) -> None:
    """Add them to `app`."""
    manager, clock = studio.manager, studio.manager.clock

    @app.post("/api/sessions/{session_id}/questions")
    async def ask(session_id: str, body: dict[str, Any]) -> Any:
        """Ask a session about what it has seen and heard; the session's page shows the answer too."""
        asking = manager.get(session_id).asking
        wish = read_body(QuestionBody, body)
        parts: Channel[Reply] = Channel("answer-parts", PARTS_HELD, Drop.OLDEST)
        asked = asking.ask(wish.question, parts.put)
        if asked["type"] == "wish":
            return asked
        if wish.stream:
            return StreamingResponse(_lines(parts, clock.now_ns), media_type="text/event-stream")
        try:
            async with asyncio.timeout(wish.wait_s):
                while not (reply := await parts.aget()).is_final:
                    pass
        except TimeoutError:
            return asking.reply(asked["id"]) or asked
        return reply.told(clock.now_ns())

    @app.get("/api/sessions/{session_id}/questions")
    def answers(session_id: str) -> dict[str, Any]:
        """List what was asked and answered, the oldest first, and what is watched for."""
        asking = manager.get(session_id).asking
        return {"engine": asking.card(), "answers": asking.replies(), "wishes": asking.wishes()}

    @app.delete("/api/sessions/{session_id}/wishes/{wish_id}", status_code=204)
    def unwatch(session_id: str, wish_id: str) -> Response:
        """Take back a wish."""
        if not manager.get(session_id).asking.unwatch(_number(wish_id)):
            raise SessionUnknown("There is no such wish (any more).")
        return Response(status_code=204)

    @app.get("/api/sessions/{session_id}/pictures/{number}")
    def picture(session_id: str, number: str) -> Response:
        """Give a kept picture that an answer points to."""
        found = manager.get(session_id).asking.picture(_number(number))
        if found is None:
            raise SessionUnknown("That picture is not kept (any more).")
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(found, media_type="image/jpeg", headers=headers)

    @app.delete("/api/sessions/{session_id}/memory")
    def forget(session_id: str, last_s: float | None = Query(None, gt=0)) -> dict[str, int]:
        """Delete what the session remembers: all of it, or that of the last seconds."""
        return {"forgotten": manager.get(session_id).asking.forget(last_s)}


def _number(text: str) -> int:
    """Return a number of a path. Raises SessionUnknown for what is none, once it is known who asks."""
    try:
        return int(text)
    except ValueError:
        raise SessionUnknown("There is no such thing.") from None


async def _lines(parts: Channel[Reply], now_ns: Any) -> AsyncIterator[bytes]:
    while True:
        reply = await parts.aget()
        yield b"data: " + json.dumps(reply.told(now_ns())).encode() + b"\n\n"
        if reply.is_final:
            return
