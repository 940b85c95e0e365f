"""Watch a server's test pattern from elsewhere and say how many pictures came: nat_player.py URL"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import httpx
from aiortc import RTCSessionDescription

from tests.realtime.webrtc.client import Client

WAITS_S = 12.0


async def main(url: str) -> None:
    client = Client(control=False)
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        made = (await http.post("/api/sessions", json={"source": {"kind": "pattern"}})).json()
        offer = {"type": "offer", "sdp": await client.offer()}
        answer = (await http.post(f"/api/sessions/{made['id']}/offer", json=offer)).json()
        await client.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        with contextlib.suppress(TimeoutError):
            await client.pictures(10, WAITS_S)
        print("pictures", len(client.received), flush=True)
        await client.close()


asyncio.run(main(sys.argv[1]))
