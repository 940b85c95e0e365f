"""Pictures over a WebSocket that passes through the front, and what its client sees when the worker dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator

import pytest
import websockets

from realtime.websocket.wire import Kind, Packet, pack, unpack
from tests.app.cluster.cluster import cluster


async def pictures(url: str) -> AsyncIterator[Packet]:
    """Yield the pictures that come over the socket, each one acknowledged."""
    async with websockets.connect(url, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps({"type": "hello", "takes": ["h264"]}))
        async for message in socket:
            if isinstance(message, bytes) and (packet := unpack(message)).kind is Kind.PICTURE:
                await socket.send(pack(Packet(Kind.ACK, seq=packet.seq)))
                yield packet
    raise ConnectionError("the socket was closed")


async def seen(url: str, count: int) -> None:
    """Look at `count` pictures."""
    async with asyncio.timeout(20):
        async for _ in pictures(url):
            count -= 1
            if not count:
                return


async def to_the_end(coming: AsyncIterator[Packet]) -> None:
    async for _ in coming:
        continue


async def test_a_socket_ends_with_its_worker_at_once_and_the_same_address_serves_it_again() -> None:
    async with cluster() as one:
        await one.all_open(2)
        session_id = await one.made()
        url = f"{one.url.replace('http', 'ws')}/api/sessions/{session_id}/ws"
        await seen(url, 5)
        coming = pictures(url)
        await anext(coming)
        os.kill(one.pid(one.desk.record(session_id).worker), signal.SIGKILL)
        async with asyncio.timeout(5):
            with pytest.raises((websockets.ConnectionClosed, ConnectionError)):
                await to_the_end(coming)
            await seen(url, 3)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await seen(url.replace(session_id, "another-session-id"), 1)
        assert refused.value.response.status_code == 404


async def test_later_sessions_of_a_worker_have_sockets_too() -> None:
    async with cluster(server__workers=1) as one:
        await one.all_open(1)
        for _ in range(2):
            session_id = await one.made()
            assert (await one.http.get(f"/api/sessions/{session_id}")).status_code == 200
            one.http.cookies.clear()  # the socket has none either
            await seen(f"{one.url.replace('http', 'ws')}/api/sessions/{session_id}/ws", 2)
