"""How often one address may do a thing: a bucket each, which refills while it is left alone."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping

from realtime.core.clock import NS_PER_S, Clock

from .guard import App, Receive, Scope, Send, answer_error
from .visitors import asking

ADDRESSES_KEPT = 4096


class Rate:
    """Count for each key; at most `burst` at once and `per_minute` in the long run."""

    def __init__(self, per_minute: float, burst: int, clock: Clock) -> None:
        self._gap_ns = 60 * NS_PER_S / per_minute
        self._slack_ns = (burst - 1) * self._gap_ns
        self._clock = clock
        self._due_ns: OrderedDict[str, float] = OrderedDict()
        """When each key's bucket is full again (generic cell rate, ITU-T I.371)."""

    def wait_s(self, key: str) -> int:
        """Return how long `key` has to wait for its next turn, in whole seconds; 0 when it may go now."""
        now_ns = self._clock.now_ns()
        ahead_ns = self._due_ns.get(key, now_ns) - now_ns - self._slack_ns
        return math.ceil(ahead_ns / NS_PER_S) if ahead_ns > 0 else 0

    def take(self, key: str) -> int:
        """Take a turn if there is one; return what `wait_s` does."""
        wait_s = self.wait_s(key)
        if wait_s == 0:
            self._due_ns[key] = max(self._due_ns.get(key, 0), self._clock.now_ns()) + self._gap_ns
            self._due_ns.move_to_end(key)
            while len(self._due_ns) > ADDRESSES_KEPT:
                self._due_ns.popitem(last=False)
        return wait_s


COSTLY: Mapping[str, re.Pattern[str]] = {
    "session": re.compile(r"/api/sessions/?|/(whip|whep)(/.*)?"),
    "offer": re.compile(r"/api/sessions/[^/]+/(offer|whip|whep).*"),
    "file": re.compile(r"/api/files/?"),
}
"""What costs the server much, by the path that is POSTed to. A WebSocket counts as an offer."""


class Pace:
    """Middleware: refuse with 429 what one address asks for too often. This machine itself is not slowed."""

    def __init__(self, app: App, *, per_minute: int, clock: Clock) -> None:
        self._app = app
        self._rates = {kind: Rate(per_minute, max(1, per_minute // 3), clock) for kind in COSTLY}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = _kind(scope)
        wait_s = 0 if not kind or asking().is_local else self._rates[kind].take(asking().address)
        if wait_s == 0:
            await self._app(scope, receive, send)
            return
        hint = f"Try again in {wait_s} s."
        await refuse(scope, receive, send, 429, "That was asked for too often.", hint, "TooOften", wait_s)


def _kind(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "" if scope["path"].startswith("/gradio_api/") else "offer"
    if scope["type"] != "http" or scope["method"] != "POST":
        return ""
    return next((kind for kind, path in COSTLY.items() if path.fullmatch(scope["path"])), "")


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    message: str,
    hint: str,
    kind: str,
    retry_after_s: int | None = None,
) -> None:
    """Answer a request, or a WebSocket that asks to be opened, with an error."""
    prefix = "http"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": message})
            return
        prefix = "websocket.http"

    async def sent(event: Scope) -> None:
        kind_of = str(event["type"]).replace("http", prefix, 1)
        extra = [] if retry_after_s is None else [(b"retry-after", str(retry_after_s).encode())]
        if status == 401:
            extra.append((b"www-authenticate", b'Bearer realm="vitascope"'))
        more = {"headers": [*event["headers"], *extra]} if "headers" in event else {}
        await send({**event, "type": kind_of, **more})

    await answer_error(sent, status, message, hint, kind)
