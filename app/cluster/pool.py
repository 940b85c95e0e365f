"""What a worker is to those who place sessions, and where the next session goes.

A worker is one process with one GPU: it runs the whole application without the page and owns model, lanes and
connections. A back end (`local.py`, `ray_pool.py`) only begins and ends such processes; everything else about
them, such as figures, sessions and death, comes over the line that `line.py` keeps to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

SLOW_MS = 150.0
"""A worker whose stages need longer than this (p95) gets no session while another has a place."""


@dataclass(frozen=True, slots=True)
class Address:
    """Say where a worker listens, and with which secret its callers sign."""

    url: str
    """Such as http://127.0.0.1:40211."""
    secret: str
    """New with each start, so that it also tells a process from its successor."""
    pid: int


@dataclass(frozen=True, slots=True)
class Load:
    """Hold what a worker last said about itself."""

    sessions: int = 0
    max_sessions: int = 0
    stage_ms_p95: float = 0.0
    """The slowest stage's work on a picture; 0 while nothing runs."""
    phase: str = "cold"
    """How far the painter has been loaded: cold, warming, ready, failed."""
    engine: tuple[str, str] | None = None
    """What paints, and why that."""


@dataclass(frozen=True, slots=True)
class View:
    """Show one worker to the rules in this package."""

    name: str
    load: Load
    placed: int
    """Sessions that the front has given it; it may not have told of the newest yet."""
    is_open: bool
    """It answers, and is not being emptied."""

    @property
    def taken(self) -> int:
        return max(self.placed, self.load.sessions)

    @property
    def free(self) -> int:
        """How many more sessions it takes."""
        return max(0, self.load.max_sessions - self.taken) if self.is_open else 0


def choose(workers: Sequence[View], *, but: str = "", slow_ms: float = SLOW_MS) -> str | None:
    """Return the worker for the next session: not a slow one, most free places, quickest stages, first name.

    `but` names one that must not be taken. None when all places are taken.
    """
    able = [one for one in workers if one.free and one.name != but]
    if not able:
        return None
    best = min(
        able,
        key=lambda one: (one.load.stage_ms_p95 > slow_ms, -one.free, one.load.stage_ms_p95, one.name),
    )
    return best.name


class Backend(Protocol):
    """Begin and end worker processes. Each method belongs to the front's loop."""

    async def begin(self, name: str, lost: Address | None) -> Address:
        """Start worker `name` and return where it listens.

        `lost` is the predecessor that no longer answers; if it still lives it is killed first, since two
        processes must not hold one session. Raises VitascopeError when it cannot be started.
        """

    async def end(self, name: str, grace_s: float) -> None:
        """End worker `name`: ask it, and kill it after `grace_s`. An unknown name is no error."""

    async def close(self) -> None:
        """Let go of what the back end itself holds."""


def pause_s(deaths: int, first_s: float = 0.5, longest_s: float = 30.0) -> float:
    """Return how long to wait before the next start after `deaths` early deaths in a row: it doubles."""
    return float(min(longest_s, first_s * 2 ** min(max(0, deaths - 1), 16)))
