"""Requests that no route should see: bodies of another kind, and Gradio's routes that the page does not use.

Gradio brings routes to take files, to fetch from elsewhere, to watch its users. What is not used here cannot
be misused: they answer as if they were not there.
"""

from __future__ import annotations

import re

from .guard import App, Receive, Scope, Send, answer_error
from .visitors import headers_of

UNUSED = re.compile(
    r"/gradio_api/(upload|upload_progress|proxy=.*|stream/.*|process_recording|(undo-)?vibe.*|dev/.*"
    r"|custom_component/.*|deep_link|(call|api)/.*)/?|/monitoring(/.*)?",
    re.DOTALL,
)
MAX_NAME_BYTES = 255
BODIES = frozenset({"application/json", "application/sdp", "application/trickle-ice-sdpfrag"})


def _is_no_name(path: str) -> bool:
    """Tell whether a path holds what no file or id is called; to look for one is an error of its own."""
    return "\0" in path or any(
        len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES for name in path.split("/")
    )


class Closed:
    """Middleware: 404 for what is not used or cannot be, 415 for a body under /api that is no JSON or SDP."""

    def __init__(self, app: App, *, upload_path: str) -> None:
        self._app = app
        self._upload_path = upload_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif UNUSED.fullmatch(scope["path"]) or _is_no_name(scope["path"]):
            await answer_error(send, 404, "There is no such route.", "See /api/docs.", "HTTPError")
        elif (kind := self._wrong_body(scope)) is not None:
            says = f'A body of type "{kind[:60]}" is not taken.' if kind else "The body's type is not said."
            hint = "Send JSON, with Content-Type: application/json."
            await answer_error(send, 415, says, hint, "UnsupportedType")
        else:
            await self._app(scope, receive, send)

    def _wrong_body(self, scope: Scope) -> str | None:
        """Return the type of a body that no route takes; None when it may pass."""
        path = scope["path"]
        if scope["method"] not in ("POST", "PUT", "PATCH") or not path.startswith("/api/"):
            return None
        headers = headers_of(scope)
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not has_body or kind in BODIES or path == self._upload_path:
            return None
        return kind
