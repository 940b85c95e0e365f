"""Two things that aioice does not let one ask for: a range of UDP ports, and why a TURN server refused.

Both are guarded as in `tuning.py`: they are put in only where the code that they lean on is as it was read
(aioice 0.12), and say so where it is not.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import aioice.ice
import aioice.stun

log = logging.getLogger(__name__)

_HELD = "_vitascope_udp_ports"
_troubles: ContextVar[list[str] | None] = ContextVar("relay_troubles", default=None)


def is_as_read() -> bool:
    """Tell whether aioice binds and asks for relays as it did in the code that was read."""
    gathers = inspect.getsource(aioice.ice.Connection.get_component_candidates)
    return all(
        words in gathers
        for words in ("await loop.create_datagram_endpoint(", "local_addr=(address, 0)", "relayed_candidate(")
    )


def hold_to(loop: asyncio.AbstractEventLoop, ports: range, *, seed: int | None = None) -> bool:
    """Bind UDP sockets for which no port is asked only to `ports`, on this loop; False where that cannot be.

    A socket gets the first free port from a random place on, so that a port just left is not taken again
    at once. OSError when none is free. Sockets that only speak to a server (TURN) are left alone.
    """
    if not is_as_read():
        log.warning("aioice has changed: the range of UDP ports is not kept")
        return False
    if getattr(loop, _HELD, None) is not None:
        setattr(loop, _HELD, ports)
        return True
    plain = loop.create_datagram_endpoint
    chance = random.Random(seed)

    async def within(protocol_factory: Any, local_addr: Any = None, **more: Any) -> Any:
        if local_addr is None or local_addr[1] != 0 or more.get("remote_addr") is not None:
            return await plain(protocol_factory, local_addr=local_addr, **more)
        held: range = getattr(loop, _HELD)
        first = chance.randrange(len(held))
        for port in (*held[first:], *held[:first]):
            try:
                return await plain(protocol_factory, local_addr=(local_addr[0], port), **more)
            except OSError as error:
                problem = error
        log.warning("no UDP port from %d to %d is free on %s", held[0], held[-1], local_addr[0])
        raise problem

    setattr(loop, _HELD, ports)
    setattr(loop, "create_datagram_endpoint", within)  # noqa: B010 - mypy refuses the plain assignment
    return True


@contextmanager
def relay_troubles() -> Iterator[list[str]]:
    """Collect why TURN servers gave no address while candidates are gathered inside."""
    _watch_relays()
    found: list[str] = []
    token = _troubles.set(found)
    try:
        yield found
    finally:
        _troubles.reset(token)


@lru_cache(maxsize=1)
def _watch_relays() -> None:
    if not is_as_read():
        log.warning("aioice has changed: why a TURN server refuses is not told")
        return
    plain = aioice.ice.relayed_candidate

    async def watched(**asked: Any) -> Any:
        try:
            return await plain(**asked)
        except asyncio.CancelledError:
            _note("it did not answer in time")
            raise
        except (OSError, aioice.stun.TransactionError) as error:
            _note(reason(error))
            raise

    setattr(aioice.ice, "relayed_candidate", watched)  # noqa: B010 - as above


def reason(error: Exception) -> str:
    """Say in a few words why a TURN server gave no address; user name and password are not in it."""
    if isinstance(error, aioice.stun.TransactionFailed):
        code, words = error.response.attributes.get("ERROR-CODE", (0, ""))
        if code == 401:
            return "it refused the credentials (401)"
        return f"it refused ({code} {words})".replace(" )", ")")
    if isinstance(error, aioice.stun.TransactionTimeout):
        return "it did not answer"
    return f"it could not be reached ({getattr(error, 'strerror', None) or type(error).__name__})"


def _note(why: str) -> None:
    found = _troubles.get()
    if found is not None:
        found.append(why)
