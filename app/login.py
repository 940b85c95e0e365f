"""A word for a public link: with a password or a token set, nothing is answered to those who do not know it.

People sign in on a small page and keep a signed cookie; programs send `Authorization: Bearer TOKEN` (RFC
6750). The check stands before all routes at once, the page's and Gradio's own among them, so that a new route
cannot be forgotten. The cookie is `SameSite=Lax`: inside another site's frame nobody is signed in.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from realtime.core.clock import NS_PER_S, Clock

from .guard import App, Receive, Scope, Send, is_loopback
from .rates import Rate, refuse
from .signing import Signer, same
from .visitors import asking, cookie_in, headers_of, set_cookie

LOGIN_PATH, LOGOUT_PATH = "/login", "/logout"
PAGE = Path(__file__).with_name("login.html")
KEEP_S = 7 * 24 * 3600
MAX_FORM_BYTES = 8192
WRONG_PER_MINUTE, WRONG_AT_ONCE = 6, 5
PAGE_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"same-origin"),  # with none at all a browser sends the form as of no origin
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
)


class Login:
    """Middleware: let those pass who know a word; with no word set, all."""

    def __init__(
        self,
        app: App,
        *,
        password: str,
        token: str,
        name: str,
        clock: Clock,
        is_open_to: Callable[[str, str], bool] = lambda path, origin: False,
    ) -> None:
        self._app = app
        self._words = [word for word in (password, token) if word]
        self._token = token
        self._name = name
        """The cookie's."""
        self._signer = Signer("login")
        self._clock = clock
        self._is_open_to = is_open_to
        self._wrong = Rate(WRONG_PER_MINUTE, WRONG_AT_ONCE, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._words or scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        if scope["type"] == "http" and scope["path"].rstrip("/") == LOGOUT_PATH:
            await self._go(scope, send, "/", "", keep_s=0)
        elif scope["type"] == "http" and scope["path"].rstrip("/") == LOGIN_PATH:
            await self._login(scope, receive, send)
        elif self._is_signed_in(headers) or self._only_asks(scope, headers):
            await self._app(scope, receive, send)
        elif "authorization" in headers:
            await self._bearer(scope, receive, send, headers["authorization"])
        elif _is_for_a_person(scope, headers):
            query = scope.get("query_string", b"").decode("latin-1")
            await _page(send, 401, _own_path(scope["path"] + (f"?{query}" if query else "")))
        else:
            hint = "Open the page to sign in, or send the server's token: Authorization: Bearer TOKEN."
            await refuse(scope, receive, send, 401, "Sign in first.", hint, "NotSignedIn")

    def _is_signed_in(self, headers: dict[str, str]) -> bool:
        said = self._signer.read(cookie_in(headers, self._name)) or ""
        until_s = said.partition("-")[0]
        return until_s.isdigit() and self._clock.now_ns() < int(until_s) * NS_PER_S

    def _only_asks(self, scope: Scope, headers: dict[str, str]) -> bool:
        """Tell a browser's question whether it may send (CORS), which comes without any word."""
        is_question = scope["type"] == "http" and scope["method"] == "OPTIONS"
        is_question = is_question and "access-control-request-method" in headers
        return is_question and self._is_open_to(scope["path"], headers.get("origin", ""))

    async def _bearer(self, scope: Scope, receive: Receive, send: Send, said: str) -> None:
        scheme, _, word = said.partition(" ")
        is_known = bool(self._token) and scheme.lower() == "bearer" and same(word.strip(), self._token)
        wait_s = self._wrong.wait_s(asking().address)
        if is_known and not wait_s:
            await self._app(scope, receive, send)
            return
        wait_s = wait_s or self._wrong.take(asking().address)
        if wait_s:
            hint = f"Try again in {wait_s} s."
            await refuse(scope, receive, send, 429, "Too many wrong tokens.", hint, "TooOften", wait_s)
            return
        await refuse(
            scope, receive, send, 401, "That token is not known.", "See server.token.", "NotSignedIn"
        )

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        form = await _form(receive) if scope["method"] == "POST" else {}
        target = _own_path(form.get("next", "/"))
        if scope["method"] != "POST":
            await _page(send, 200, "/")
            return
        wait_s = self._wrong.wait_s(asking().address)
        if wait_s:
            says = f"Too many wrong words. Try again in {wait_s} s."
            await _page(send, 429, target, says, retry_after_s=wait_s)
            return
        word = form.get("password", "")
        known = [same(word, one) for one in self._words]  # all are compared, so that time tells nothing
        if True not in known:
            self._wrong.take(asking().address)
            await _page(send, 401, target, "That is not the password.")
            return
        until_s = self._clock.now_ns() // NS_PER_S + KEEP_S
        await self._go(scope, send, target, self._signer.sign(f"{until_s}-{secrets.token_urlsafe(9)}"))

    async def _go(self, scope: Scope, send: Send, target: str, cookie: str, keep_s: int = KEEP_S) -> None:
        headers = [(b"location", target.encode("latin-1", "replace")), (b"content-length", b"0")]
        headers.append(set_cookie(self._name, cookie, scope, keep_s=keep_s))
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def warning(host: str, *, has_word: bool, is_shared: bool = False) -> str:
    """Return the line to print where anybody who finds the server may use it, or ""."""
    if has_word or (is_loopback(host) and not is_shared):
        return ""
    who = "Anybody who has the link" if is_shared else "Anybody who reaches this machine"
    return f"{who} can use this server: set VITASCOPE_SERVER__PASSWORD to ask for a password."


def _is_for_a_person(scope: Scope, headers: dict[str, str]) -> bool:
    is_get = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    return is_get and "text/html" in headers.get("accept", "")


def _own_path(target: str) -> str:
    """Return where to go after signing in: a path here, never another site."""
    is_own = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return quote(target, safe="/?=&%-._~") if is_own and target.isprintable() else "/"


async def _form(receive: Receive) -> dict[str, str]:
    body, more = b"", True
    while more and len(body) <= MAX_FORM_BYTES:
        message: MutableMapping[str, Any] = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        fields = parse_qs(body[:MAX_FORM_BYTES].decode("utf-8", "replace"), max_num_fields=8)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


@cache
def _template() -> str:
    return PAGE.read_text(encoding="utf-8")


async def _page(
    send: Send, status: int, target: str, says: str = "", retry_after_s: int | None = None
) -> None:
    text = _template().replace("{says}", html.escape(says))
    body = text.replace("{next}", html.escape(target, quote=True)).encode()
    headers = [*PAGE_HEADERS, (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="vitascope"'))
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
