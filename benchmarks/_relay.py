"""A UDP line that is long and uneven: packets are late, each by another time, and so overtake each other.

The relay stands between a WebRTC client and its server: each is told an address of the relay's instead of the
other's (`rewritten`), or they would find each other without it. Loss and rate are `_netns.py`'s.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any


class UdpRelay:
    """Pass datagrams on between whoever writes first and `target`, `delay_s` plus up to `jitter_s` later."""

    def __init__(self, delay_s: float, jitter_s: float, seed: int = 0) -> None:
        self.target: tuple[str, int] | None = None
        """Where to; what comes before it is known is lost."""
        self._delay_s, self._jitter_s = delay_s, jitter_s
        self._random = random.Random(seed)
        self._near: asyncio.DatagramTransport | None = None
        self._far: asyncio.DatagramTransport | None = None
        self._client: tuple[str, int] | None = None
        self.passed = 0
        self.overtaken = 0
        """Packets that went out before one that came in earlier."""
        self._newest = 0

    async def open(self, host: str) -> tuple[tuple[str, int], tuple[str, int]]:
        """Begin, at an address of this machine; return what stands for the target, and for the client."""
        loop = asyncio.get_running_loop()
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: _Hand(self._from_client), local_addr=(host, 0)
        )
        self._far, _ = await loop.create_datagram_endpoint(
            lambda: _Hand(self._from_target), local_addr=(host, 0)
        )
        return self._near.get_extra_info("sockname"), self._far.get_extra_info("sockname")

    def close(self) -> None:
        """Pass nothing on any more."""
        for transport in (self._near, self._far):
            if transport is not None:
                transport.close()

    def _from_client(self, data: bytes, address: tuple[str, int]) -> None:
        self._client = address
        if self.target is not None:
            self._later(self._far, data, self.target)

    def _from_target(self, data: bytes, address: tuple[str, int]) -> None:
        if self._client is not None:
            self._later(self._near, data, self._client)

    def _later(self, transport: Any, data: bytes, address: tuple[str, int]) -> None:
        self.passed += 1
        number = self.passed
        wait_s = self._delay_s + self._random.random() * self._jitter_s

        def send() -> None:
            self.overtaken += number < self._newest
            self._newest = max(self._newest, number)
            if not transport.is_closing():
                transport.sendto(data, address)

        asyncio.get_running_loop().call_later(wait_s, send)


class _Hand(asyncio.DatagramProtocol):
    """Give every datagram to a function."""

    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._take(data, address)


def candidate(sdp: str) -> tuple[str, int]:
    """Return the address of a description's first IPv4 UDP candidate. Raises ValueError when it has none."""
    for line in sdp.splitlines():
        parts = line.split()
        if line.startswith("a=candidate:") and parts[2].lower() == "udp" and "." in parts[4]:
            return parts[4], int(parts[5])
    raise ValueError("the description has no IPv4 candidate")


def rewritten(sdp: str, address: tuple[str, int]) -> str:
    """Return the description with `address` as its only candidate."""
    first = True
    lines: list[str] = []
    for line in sdp.splitlines():
        if line.startswith("a=candidate:"):
            parts = line.split()
            parts[4:6] = address[0], str(address[1])
            line, first = " ".join(parts), False
            if line in lines[-1:]:
                continue
        lines.append(line)
    if first:
        raise ValueError("the description has no candidate")
    return "\r\n".join(lines) + "\r\n"
