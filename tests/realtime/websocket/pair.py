"""Two ends of a WebSocket in memory, and a client that speaks the page's part."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from realtime.websocket.socket import SocketClosed
from realtime.websocket.wire import Codec, Kind, Packet, pack, unpack

HELD = 64


class End:
    """One end: bounded both ways, closed for both."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[str | bytes | SocketClosed] = asyncio.Queue(HELD)
        self.other: End
        self.closed_with: int | None = None
        self.reason = ""

    async def receive(self) -> str | bytes:
        message = await self.incoming.get()
        if isinstance(message, SocketClosed):
            self.incoming.put_nowait(message)
            raise message
        return message

    async def send(self, message: str | bytes) -> None:
        if self.closed_with is not None:
            raise SocketClosed(self.closed_with)
        await self.other.incoming.put(message)

    async def close(self, code: int, reason: str) -> None:
        for end in (self, self.other):
            end.closed_with, end.reason = code, reason
        await self.other.incoming.put(SocketClosed(code))


def pair() -> tuple[End, End]:
    """Return (server's end, client's end)."""
    server, client = End(), End()
    server.other, client.other = client, server
    return server, client


class Client:
    """Say hello, send pictures, acknowledge those that come; keep what came."""

    def __init__(self, end: End, takes: tuple[str, ...] = ("h264", "jpeg")) -> None:
        self.end = end
        self.takes = takes
        self.pictures: list[Packet] = []
        self.sound: list[Packet] = []
        self.acks: list[int] = []
        self.keys_wanted = 0
        self.events: list[dict[str, Any]] = []
        self.acknowledges = True
        self.answers = True
        self.closed: int | None = None
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def hello(self) -> None:
        await self.end.send(json.dumps({"type": "hello", "takes": list(self.takes)}))

    async def send(self, data: bytes, seq: int, *, is_key: bool, codec: Codec = Codec.H264) -> None:
        await self.end.send(pack(Packet(Kind.PICTURE, codec, seq, seq * 33_333, data, is_key, 64, 64)))

    async def until(self, condition: Any, timeout_s: float = 10.0) -> None:
        """Wait until `condition()` holds; looked at after each message."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def _read(self) -> None:
        while True:
            try:
                message = await self.end.receive()
            except SocketClosed as error:
                self.closed = error.code
                self._news.set()
                return
            if isinstance(message, str):
                await self._hear(json.loads(message))
            else:
                await self._take(unpack(message))
            self._news.set()

    async def _hear(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event["type"] == "ping" and self.answers:
            await self.end.send(json.dumps({"type": "pong", "sent_ms": event["sent_ms"]}))

    async def _take(self, packet: Packet) -> None:
        if packet.kind is Kind.ACK:
            self.acks.append(packet.seq)
        elif packet.kind is Kind.WANT_KEY:
            self.keys_wanted += 1
        elif packet.kind is Kind.SOUND:
            self.sound.append(packet)
        else:
            self.pictures.append(packet)
            if self.acknowledges:
                await self.end.send(pack(Packet(Kind.ACK, seq=packet.seq)))

    def stop(self) -> None:
        self._reading.cancel()
