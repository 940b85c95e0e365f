"""What a link needs of a WebSocket, so that tests can be one."""

from __future__ import annotations

from typing import Protocol


class SocketClosed(Exception):
    """Tell that the other side has closed; `code` is what it said."""

    def __init__(self, code: int = 1006) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Socket(Protocol):
    """One WebSocket. All three may raise SocketClosed, and all are awaited on one loop."""

    async def receive(self) -> str | bytes:
        """Wait for the next message: text is str."""

    async def send(self, message: str | bytes) -> None:
        """Send a message; returns when there is room for the next."""

    async def close(self, code: int, reason: str) -> None:
        """Close with a code of RFC 6455."""
