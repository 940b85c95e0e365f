"""What a request must be before a route sees it: of a known host, from the page itself, and not too large.

A server on localhost is reachable by every web page that the same browser shows. A page of another site could
send it requests, or point a host name of its own at 127.0.0.1 (DNS rebinding). So the Host must be one under
which this server is meant to be reached, and whatever changes something must come from that same host.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from .outside import Outside, host_name

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_BODY_BYTES = 1_048_576


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host in ("localhost", "testclient"):
        return host == "localhost"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def refusal(
    method: str, host: str, origin: str, fetch_site: str, *, bound_to: str, allowed: Sequence[str]
) -> str:
    """Say why a request is refused, or "" for one that may pass."""
    try:
        name = host_name(host)
        origin_host = urlsplit(origin).netloc.lower() if origin else ""
    except ValueError:
        return "The request names a host that cannot be read."
    may_be = [one.lower() for one in allowed]
    is_known = is_loopback(name) or name in may_be or name == bound_to.lower()
    if (allowed or is_loopback(bound_to)) and not is_known:
        return f'This server is not reached under the name "{name[:80]}".'
    if method in SAFE_METHODS:
        return ""
    if origin and origin_host != host.lower() and host_name(origin_host) not in may_be:
        return "The request comes from another site."
    if not origin and fetch_site in ("cross-site", "same-site"):
        return "The request comes from another site."
    return ""


class Guard:
    """Refuse what `refusal` refuses, with 403, and bodies that are too large, with 413."""

    def __init__(
        self,
        app: App,
        *,
        bound_to: str,
        allowed: Sequence[str] = (),
        is_open_to: Callable[[str, str], bool] = lambda path, origin: False,
        upload_path: str,
        max_upload_bytes: int,
        outside: Outside | None = None,
    ) -> None:
        self._app = app
        self._bound_to = bound_to
        self._allowed = tuple(allowed)
        self._is_open_to = is_open_to
        self._upload_path = upload_path
        self._max_upload_bytes = max_upload_bytes
        self._outside = outside or Outside()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        # A WebSocket can do things too, and browsers open one across sites without asking.
        method = scope.get("method", "POST")
        reason = self.refusal(scope, method, headers)
        if reason and scope["type"] == "http":
            hint = "Open the page itself, or name the host in server.allowed_hosts."
            await answer_error(send, 403, reason, hint, "Forbidden")
            return
        if reason:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        if (origin := headers.get("origin", "")) and self._is_open_to(scope["path"], origin):
            send = _readable(send, origin)
        limit = self._max_upload_bytes if scope["path"] == self._upload_path else MAX_BODY_BYTES
        await self._limited(scope, receive, send, headers.get("content-length", ""), limit)

    def refusal(self, scope: Mapping[str, Any], method: str, headers: Mapping[str, str]) -> str:
        """Say why a request is refused, or "" for one that may pass; `scope` tells the door."""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        fetch_site = headers.get("sec-fetch-site", "")
        if origin and self._is_open_to(scope["path"], origin):
            origin = fetch_site = ""
        bound_to, allowed = self._bound_to, self._allowed
        if self._outside.is_at_door(scope):
            # There a stranger chooses the headers: only the public link's own name is let in.
            bound_to, allowed = "", tuple(self._outside.hosts)
            if not self._outside.knows(host):
                return "This is not the address of the public link."
        return refusal(method, host, origin, fetch_site, bound_to=bound_to, allowed=allowed)

    async def _limited(self, scope: Scope, receive: Receive, send: Send, said: str, limit: int) -> None:
        hint = f"At most {limit // 1_048_576} MB are taken here."
        if said.isdigit() and int(said) > limit:
            await answer_error(send, 413, f"The request has {int(said) // 1_048_576} MB.", hint, "TooLarge")
            return
        seen = 0
        begun = False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if seen > limit and not begun:
                return  # what a route makes of a body that was broken off
            begun = True
            await send(message)

        with suppress(_TooLarge):
            await self._app(scope, counted, noted)
        if seen > limit and not begun:
            await answer_error(send, 413, "The request is too large.", hint, "TooLarge")


def _readable(send: Send, origin: str) -> Send:
    """Let a page of `origin` read every answer, also that of a door further in: without a word, too often."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"access-control-allow-origin" for name, _ in headers):
                headers.append((b"access-control-allow-origin", origin.encode("latin-1", "replace")))
                headers.append((b"access-control-expose-headers", b"WWW-Authenticate, Retry-After"))
                headers.append((b"vary", b"Origin"))
            message = {**message, "headers": headers}
        await send(message)

    return sent


class _TooLarge(Exception):
    """End the reading of a body; never leaves this file."""


async def answer_error(send: Send, status: int, message: str, hint: str, kind: str) -> None:
    """Send the error body that all routes use."""
    body = json.dumps({"error": {"message": message, "hint": hint, "kind": kind}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
