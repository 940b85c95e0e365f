"""The route of the WebSocket, for where WebRTC does not get through: one link of a session.

The socket belongs to the server's loop, the link to the media loop. Each message is handed over by itself and
the next one is read when the first was taken, so nothing piles up between the two: TCP feels a slow side.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from realtime.core.errors import VitascopeError
from realtime.link import Role
from realtime.messages import error_event
from realtime.websocket.link import SocketLink
from realtime.websocket.socket import SocketClosed

from .logs import session_in_log

if TYPE_CHECKING:
    from .loop import MediaLoop
    from .manager import SessionManager
    from .session import Session

log = logging.getLogger(__name__)

T = TypeVar("T")

GONE = 1000
"""What a client is told when its session is over: it need not come back."""


class Bridge:
    """Give a WebSocket of the server's loop to a link on the media loop."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> str | bytes:
        """Wait for the next message."""
        return await self._there(self._receive())

    async def send(self, message: str | bytes) -> None:
        """Send a message; returns once the server's buffer has room for the next."""
        await self._there(self._send(message))

    async def close(self, code: int, reason: str) -> None:
        """Close the socket."""
        await self._there(self._close(code, reason))

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise SocketClosed
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _receive(self) -> str | bytes:
        try:
            message = await self._socket.receive()
        except RuntimeError as error:  # it is closed already
            raise SocketClosed from error
        if message["type"] == "websocket.disconnect":
            raise SocketClosed(message.get("code") or 1006)
        text = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    async def _send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise SocketClosed from error

    async def _close(self, code: int, reason: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code, reason)


def add_wire(app: FastAPI, manager: SessionManager, loop: MediaLoop) -> None:
    """Add the route to `app`."""

    @app.websocket("/api/sessions/{session_id}/ws")
    async def wire(socket: WebSocket, session_id: str) -> None:
        """Carry a session's pictures, sound and events; see realtime/websocket/wire.py for the messages."""
        await socket.accept()
        try:
            session = manager.get(session_id)
            await loop.do(serve(session, Bridge(socket)))
        except VitascopeError as error:
            with suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_text(json.dumps(error_event(error)))
                await socket.close(GONE, error.message[:100])


async def serve(session: Session, socket: Bridge) -> None:
    """Run a link of `session` over `socket` to its end, on the media loop. Raises SessionError."""
    with session_in_log(session.id):
        ends = session.ends(Role.MAIN, SocketLink.path)
        link = SocketLink(socket, ends)
        session.join(ends, link)
        await link.run()
