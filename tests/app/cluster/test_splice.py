"""A WebSocket passed on byte by byte: what the worker is sent, who may not, and that nothing piles up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.cluster.line import Line
from app.cluster.pool import Address
from app.cluster.record import Record
from app.cluster.splice import WAITING_BYTES, ClientEnd, Doorway
from app.cluster.token import HEADER, token_of
from app.doors import doors
from app.manager import SessionUnknown
from app.outside import Outside
from app.settings import ServerSettings
from realtime.core.clock import ManualClock

ID = "a-session-of-the-test"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class OneSession:
    """The part of a desk that a splice asks: one session, at one worker."""

    port: int
    came: list[str] = field(default_factory=list)

    @property
    def keeper(self) -> Any:
        return self

    def line(self, name: str) -> Line:
        return Line(Address(f"http://127.0.0.1:{self.port}", "secret", 1))

    def doubt(self, name: str, line: Line) -> None:
        self.came.append(f"{name} is doubted")

    def record(self, session_id: str) -> Record:
        return Record(session_id, {}, {}, is_local=False)

    async def place_of(self, session_id: str) -> str:
        if session_id != ID:
            raise SessionUnknown("There is no such session.", hint="Start a new one.")
        return "worker-0"

    def came_over(self, record: Record) -> None:
        self.came.append(record.id)


class Worker:
    """Accept connections; the test reads and writes the newest one."""

    def __init__(self) -> None:
        self.streams: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams.set_result((reader, writer))


@asynccontextmanager
async def spliced(worker_port: int | None = None) -> AsyncIterator[tuple[Worker, OneSession, int]]:
    worker = Worker()
    loop = asyncio.get_running_loop()
    behind = await asyncio.start_server(worker.take, "127.0.0.1", 0)
    port = worker_port or behind.sockets[0].getsockname()[1]
    desk = OneSession(port)
    connections: set[Any] = set()
    found = doors(ServerSettings(), ManualClock(), upload_path="", upload_bytes=0, outside=Outside())
    doorway = Doorway(found)
    front = await loop.create_server(
        lambda: ClientEnd(desk, doorway, connections),  # type: ignore[arg-type]
        "127.0.0.1",
        0,
    )
    try:
        yield worker, desk, front.sockets[0].getsockname()[1]
    finally:
        for one in list(connections):
            one.shutdown()
        if worker.streams.done():
            worker.streams.result()[1].close()
        front.close()
        behind.close()


def head(session_id: str = ID, *, host: str = "127.0.0.1", **more: str) -> bytes:
    lines = [f"GET /api/sessions/{session_id}/ws?a=1 HTTP/1.1", f"Host: {host}", "Sec-WebSocket-Key: x"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def test_the_request_is_repeated_signed_and_bytes_pass_both_ways() -> None:
    async with spliced() as (worker, desk, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        forged = {HEADER: "forged", "x_forwarded_for": "6.6.6.6", "origin": f"http://127.0.0.1:{port}"}
        writer.write(head(host=f"127.0.0.1:{port}", **forged))
        inner, outer = await asyncio.wait_for(worker.streams, 5)
        said = (await inner.readuntil(b"\r\n\r\n")).decode()
        assert said.startswith(f"GET /api/sessions/{ID}/ws?a=1 HTTP/1.1\r\n")
        assert f"{HEADER}: {token_of('secret', ID)}\r\n" in said
        assert "x-forwarded-for: 127.0.0.1\r\n" in said
        assert "sec-websocket-key: x\r\n" in said
        assert "forged" not in said
        assert "6.6.6.6" not in said
        assert "origin" not in said
        outer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00")
        assert await reader.readuntil(b"\x81\x00") == b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00"
        every_byte = bytes(range(256)) * 64
        writer.write(every_byte)
        assert await inner.readexactly(len(every_byte)) == every_byte
        assert desk.came == [ID]
        outer.transport.abort()  # the worker dies
        async with asyncio.timeout(2):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        writer.close()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head(origin="http://evil.example"), 403),
        (head(host="evil.example"), 403),
        (head("another-session-id"), 404),
        (b"GET /other HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
    ],
)
async def test_what_the_guard_refuses_never_reaches_a_worker(request_head: bytes, status: int) -> None:
    async with spliced() as (worker, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_head)
        answer = await asyncio.wait_for(reader.read(), 5)
        said, _, body = answer.partition(b"\r\n\r\n")
        assert said.startswith(f"HTTP/1.1 {status} ".encode())
        assert json.loads(body)["error"]["message"].endswith(".")
        assert not worker.streams.done()
        writer.close()


async def test_a_worker_that_cannot_be_reached_is_told_as_503() -> None:
    async with spliced(worker_port=1) as (_, desk, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head())
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 503 ")
        assert set(desk.came) == {"worker-0 is doubted"}
        writer.close()


async def test_a_worker_that_dies_before_it_answers_is_asked_again() -> None:
    async with spliced() as (worker, desk, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head())
        inner, outer = await asyncio.wait_for(worker.streams, 5)
        worker.streams = asyncio.get_running_loop().create_future()  # its successor, at the same port
        await inner.readuntil(b"\r\n\r\n")
        outer.transport.abort()
        inner, outer = await asyncio.wait_for(worker.streams, 5)
        await inner.readuntil(b"\r\n\r\n")
        outer.write(b"HTTP/1.1 101 ")
        assert await asyncio.wait_for(reader.readexactly(13), 5) == b"HTTP/1.1 101 "
        assert desk.came == [ID]
        writer.close()


async def test_a_side_that_does_not_read_stops_the_other_and_gets_all_in_the_end() -> None:
    async with spliced() as (worker, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head())
        inner, outer = await asyncio.wait_for(worker.streams, 5)
        await inner.readuntil(b"\r\n\r\n")
        outer.write(b"H")
        await reader.readexactly(1)
        total = 64 << 20  # far more than what sockets of this machine hold
        piece = b"x" * (1 << 16)
        sent = 0

        async def fill() -> None:
            nonlocal sent
            while sent < total:
                outer.write(piece)
                await outer.drain()
                sent += len(piece)

        filling = asyncio.create_task(fill())
        before = -1
        while before != sent:  # until nothing more is taken
            before = sent
            await asyncio.sleep(0.3)
        assert not filling.done()
        assert sent < total // 2
        seen = 0
        async with asyncio.timeout(30):
            while seen < total:
                seen += len(await reader.read(WAITING_BYTES))
        await filling
        assert seen == total
        writer.close()
