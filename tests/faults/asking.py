"""Ask an ASGI app without any client in between, so that what no client would send arrives as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

HOME = "127.0.0.1:7860"
ELSEWHERE = ("203.0.113.9", 5000)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any,
    method: str,
    target: str,
    body: bytes | Sequence[bytes] = b"",
    headers: Mapping[str, str] | None = None,
    *,
    client: tuple[str, int] = ("127.0.0.1", 5000),
) -> Answer:
    """Send one request, its body in one piece or in several; whatever `app` raises comes out."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    given = {"host": HOME, **(headers or {})}
    if isinstance(body, bytes) and body and "content-length" not in given:
        given["content-length"] = str(len(body))
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path, errors="replace"),
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": query.encode("utf-8", "replace"),
        "root_path": "",
        "headers": [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in given.items()],
        "client": client,
        "server": ("127.0.0.1", 7860),
        "state": {},
    }
    status, found, seen = 0, {}, b""

    async def receive() -> dict[str, Any]:
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status, found, seen
        if message["type"] == "http.response.start":
            status = message["status"]
            found = {k.decode("latin-1"): v.decode("latin-1") for k, v in message["headers"]}
        else:
            seen += message.get("body", b"")

    await app(scope, receive, send)
    return Answer(status, found, seen)
