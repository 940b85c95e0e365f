"""A WebSocket of a session, passed between client and worker byte by byte: the front reads no frame.

uvicorn hands an upgrade to a protocol class of our choice, with the connection itself. This one checks the
request as `doors.py` does, opens a connection to the session's worker, repeats the request there, signed,
and from then on moves bytes. While one side does not take them, nothing is read from the other, so at most
`WAITING_BYTES` and one read wait in each direction. When the worker dies the client's connection ends at
once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from app.doors import Doors, behind
from app.guard import Receive, Scope, Send
from app.manager import SessionUnknown
from app.visitors import Visitor, asking, visiting
from realtime.core.errors import VitascopeError

from .desk import TRIES, Desk
from .token import HEADER, session_in, token_of

log = logging.getLogger(__name__)

WAITING_BYTES = 1 << 18
CONNECT_S = 5.0
OURS = frozenset(
    {
        "host",
        "origin",
        HEADER,
        "x-forwarded-for",
        "forwarded",
        "via",
        "sec-fetch-site",
        "cookie",
        "authorization",
    }
)
"""Headers that are not repeated: the front has judged them, or sets them itself."""
PHRASES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    503: "Service Unavailable",
}

VISITOR = "vitascope.visitor"
"""Key of ASGI's scope under which the doors' answer stands."""

Headers = Sequence[tuple[str, str]]


def read_head(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the target and the headers of a request whose end of head uvicorn has found."""
    first, *lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return first.split(" ")[1], [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def repeated_head(target: str, headers: Headers, *, host: str, token: str, client: str) -> bytes:
    """Return the head of the request for the worker."""
    lines = [f"GET {target} HTTP/1.1", f"host: {host}", f"{HEADER}: {token}", f"x-forwarded-for: {client}"]
    lines += [f"{name}: {value}" for name, value in headers if name not in OURS]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Doorway:
    """Ask the doors about requests. One for all of them: the doors count what each address tries."""

    def __init__(self, doors: Doors) -> None:
        self._door = behind(self._inside, doors)

    async def asked(self, scope: Scope) -> Visitor | tuple[int, str]:
        """Return who a request is from, or the status and the reason why it may not pass."""
        refused = (403, "It may not pass.")

        async def receive() -> Scope:
            return {"type": "websocket.connect"}

        async def send(event: Scope) -> None:
            nonlocal refused
            if event["type"] == "websocket.close":
                refused = (403, str(event.get("reason", refused[1])))
            elif event["type"] == "websocket.http.response.start":
                refused = (event["status"], f"{PHRASES.get(event['status'], 'Refused')}.")

        await self._door(scope, receive, send)
        visitor: Visitor | None = scope.get(VISITOR)
        return visitor or refused

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[VISITOR] = asking()


class End(asyncio.Protocol):
    """Write to one side what comes from the other, no faster than it is taken."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.other: End | None = None
        self.is_gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=WAITING_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_gone:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_gone = True
        if self.other is not None:
            self.other.transport.close()  # what was received is still delivered


class WorkerEnd(End):
    """Tell whether the worker has said anything before it went: if not, another one may be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.has_spoken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self.has_spoken.done():
            self.has_spoken.set_result(True)
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.has_spoken.done():
            super().connection_lost(error)
        else:
            self.is_gone = True
            self.has_spoken.set_result(False)


class ClientEnd(End):
    """Take an upgrade from uvicorn and find its worker."""

    def __init__(self, desk: Desk, doorway: Doorway, connections: set[Any]) -> None:
        super().__init__()
        self._desk = desk
        self._doorway = doorway
        self._connections = connections
        self._joining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._joining is None:
            self.transport.pause_reading()
            self._joining = asyncio.get_running_loop().create_task(self._join(data), name="join-worker")
        else:
            super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._joining is not None:
            self._joining.cancel()
        super().connection_lost(error)

    def shutdown(self) -> None:
        """End it: uvicorn stops."""
        self.transport.close()

    async def _join(self, head: bytes) -> None:
        target, headers = read_head(head)
        session_id = session_in(urlsplit(target).path)
        asked = await self._doorway.asked(self._scope(target, headers))
        if isinstance(asked, tuple):
            self._refuse(*asked, "See /api/docs.")
            return
        if not session_id:
            self._refuse(404, "There is no such route.", "See /api/docs.")
            return
        try:
            with visiting(asked):
                for _ in range(TRIES):
                    if await self._ask(session_id, target, headers):
                        self._desk.came_over(self._desk.record(session_id))
                        self.transport.resume_reading()
                        return
        except SessionUnknown as error:
            self._refuse(404, error.message, error.hint)
            return
        except (VitascopeError, TimeoutError) as error:
            log.warning("a WebSocket found no worker: %s", error)
        self._refuse(503, "The session's worker does not answer.", "Try again.")

    def _scope(self, target: str, headers: Headers) -> Scope:
        """Return the request as the doors read it (ASGI's scope of a WebSocket)."""
        at = urlsplit(target)
        return {
            "type": "websocket",
            "scheme": "ws",
            "path": at.path,
            "query_string": at.query.encode("latin-1"),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            "client": self.transport.get_extra_info("peername"),
            "server": self.transport.get_extra_info("sockname"),
            "extensions": {"websocket.http.response": {}},
        }

    async def _ask(self, session_id: str, target: str, headers: Headers) -> bool:
        """Repeat the request at the session's worker; False when that dies before it answers."""
        keeper = self._desk.keeper
        name = await self._desk.place_of(session_id)
        line = keeper.line(name)
        at = urlsplit(line.address.url)
        assert at.hostname is not None
        assert at.port is not None
        try:
            async with asyncio.timeout(CONNECT_S):
                loop = asyncio.get_running_loop()
                _, end = await loop.create_connection(WorkerEnd, at.hostname, at.port)
        except TimeoutError:
            return False
        except OSError:
            keeper.doubt(name, line)
            return False
        self.other, end.other = end, self
        head = repeated_head(
            target,
            headers,
            host=at.netloc,
            token=token_of(line.address.secret, session_id),
            client=str((self.transport.get_extra_info("peername") or ("unknown",))[0]),
        )
        end.transport.write(head)
        return await end.has_spoken

    def _refuse(self, status: int, message: str, hint: str) -> None:
        error = {"message": message, "hint": hint, "kind": PHRASES[status]}
        body = json.dumps({"error": error}).encode()
        head = f"HTTP/1.1 {status} {PHRASES.get(status, 'Error')}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()


def splicing(desk: Desk, doors: Doors) -> Callable[..., ClientEnd]:
    """Return what uvicorn is to make for each upgrade: its `ws` setting."""
    doorway = Doorway(doors)

    def make(*, server_state: Any, **_: Any) -> ClientEnd:
        return ClientEnd(desk, doorway, server_state.connections)

    return make
