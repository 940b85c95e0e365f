"""The front signs each call to a worker for one session: who reads one such call can reach no other session.

A worker has a secret of its own, made at its start. The token of a session is HMAC-SHA256 (RFC 2104) of the
session's id under that secret; what belongs to no session, such as making one, is signed for the empty id.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from app.guard import answer_error

HEADER = "x-vitascope-token"
_OF_SESSION = re.compile(r"/(?:api|worker)/sessions/([^/]+)")

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


def token_of(secret: str, session_id: str) -> str:
    """Return the token for calls on `session_id` ("" for calls on the worker itself)."""
    return hmac.new(secret.encode(), session_id.encode(), "sha256").hexdigest()


def session_in(path: str) -> str:
    """Return the id of the session that a path is about, or ""."""
    found = _OF_SESSION.match(path)
    return found.group(1) if found else ""


class TokenGuard:
    """Refuse every call that is not signed for the session that its path names."""

    def __init__(self, app: App, *, secret: str) -> None:
        self._app = app
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_signed(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            hint = "Speak to the front; it signs what it passes on."
            await answer_error(send, 401, "This worker is only for its front.", hint, "Unsigned")
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not signed"})

    def _is_signed(self, scope: Scope) -> bool:
        given = next((value for key, value in scope["headers"] if key == HEADER.encode()), b"")
        wanted = token_of(self._secret, session_in(scope["path"]))
        return hmac.compare_digest(given, wanted.encode())
