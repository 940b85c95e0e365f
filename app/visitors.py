"""Who asks: each browser gets a random, signed cookie, and what it makes is its own.

A session's id is a secret that only its maker was told. One made by a browser is bound to that browser's
cookie besides, so an id that was seen over a shoulder opens nothing. A program that keeps no cookies needs
the id alone. `asking()` is known wherever a request is worked on, also on the media loop and in the page's
events, so whoever looks a session up need not pass it along.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .guard import App, Receive, Scope, Send, is_loopback
from .outside import Outside, host_name
from .signing import Signer, same

FORWARDING = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Describe who sent a request."""

    key: str
    """What its cookie says; "" when it sent none of ours."""
    address: str
    """Its network address; that of IPv6 without the last 64 bits, which a client chooses itself."""
    is_local: bool
    """Whether it sits at this machine and nothing stands between."""

    @property
    def name(self) -> str:
        """What its sessions are counted under."""
        return self.key or self.address


HOUSE = Visitor("", "", True)
"""The program itself: no request is being worked on."""

_asking: ContextVar[Visitor] = ContextVar("visitor", default=HOUSE)


def asking() -> Visitor:
    """Return whose request is being worked on here, or HOUSE."""
    return _asking.get()


@contextmanager
def visiting(visitor: Visitor) -> Iterator[None]:
    """Work for `visitor` inside."""
    token = _asking.set(visitor)
    try:
        yield
    finally:
        _asking.reset(token)


def may(owner: str) -> bool:
    """Tell whether the one who asks may use what `owner` (a visitor's key, or "") has made."""
    who = asking()
    return not owner or who is HOUSE or same(who.key, owner)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request by their names in small letters; of cookies, all."""
    found: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}; {text}" if name == "cookie" and name in found else text
    return found


def cookie_in(headers: dict[str, str], name: str) -> str:
    """Return a cookie's value, or ""."""
    found = re.search(rf"(?:^|;)\s*{re.escape(name)}=([^;\s]*)", headers.get("cookie", ""))
    return found[1] if found else ""


def is_local(scope: Scope, outside: Outside) -> bool:
    """Tell whether the client sits at this machine, with no proxy and no tunnel between.

    A tunnel's requests come from this machine too, but they come in by its own door, name another host or say
    for whom they come.
    """
    headers = headers_of(scope)
    client = scope.get("client")
    forwarded = any(name in headers for name in FORWARDING)
    try:
        asked = host_name(headers.get("host", ""))
    except ValueError:
        return False
    if forwarded or outside.is_at_door(scope) or outside.knows(asked):
        return False
    return client is not None and is_loopback(client[0]) and is_loopback(asked)


def address_of(scope: Scope) -> str:
    """Return the client's address as limits count it."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return "unknown"
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)).network_address)


def set_cookie(name: str, value: str, scope: Scope, *, keep_s: int | None = None) -> tuple[bytes, bytes]:
    """Return the header for a cookie that scripts cannot read and other sites do not send (RFC 6265)."""
    text = f"{name}={value}; Path=/; HttpOnly; SameSite=Lax"
    if keep_s is not None:
        text += f"; Max-Age={keep_s}"
    if scope.get("scheme") in ("https", "wss"):
        text += "; Secure"
    return b"set-cookie", text.encode("latin-1")


class Visitors:
    """Middleware: find out who asks, and give who comes first a cookie."""

    def __init__(self, app: App, *, name: str, outside: Outside | None = None) -> None:
        self._app = app
        self._name = name
        """The cookie's: browsers share cookies between ports, so it should hold the port."""
        self._outside = outside or Outside()
        self._signer = Signer("visitor")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        key = self._signer.read(cookie_in(headers, self._name)) or ""
        is_new = not key and scope["type"] == "http" and _may_be_kept(scope["path"], headers)
        with visiting(Visitor(key, address_of(scope), is_local(scope, self._outside))):
            await self._app(scope, receive, self._greeting(scope, send) if is_new else send)

    def _greeting(self, scope: Scope, send: Send) -> Send:
        async def greet(message: Scope) -> None:
            if message["type"] == "http.response.start":
                value = self._signer.sign(secrets.token_urlsafe(18))
                message = {
                    **message,
                    "headers": [*message.get("headers", ()), set_cookie(self._name, value, scope)],
                }
            await send(message)

        return greet


def _may_be_kept(path: str, headers: dict[str, str]) -> bool:
    """Tell whether an answer may carry a cookie: a page or an answer of ours, nothing that caches keep."""
    return "text/html" in headers.get("accept", "") or path.startswith("/api/sessions")
