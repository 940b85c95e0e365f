"""How many workers there should be: more while places are scarce, fewer when one has stood idle.

A policy over figures, with the time as an argument: `pool.py` says what a worker looks like, the keeper in
`keeper.py` carries out what is decided here. One step at a time: while one worker starts, none is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .pool import View


@dataclass(frozen=True, slots=True)
class Bounds:
    least: int
    most: int
    spare: int
    """With fewer free places than this one more worker is started."""
    idle_s: float
    """A worker without a session for this long is ended, if the others have `spare` places without it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Say what to do now: start one, or empty and end the worker named."""

    add: bool = False
    remove: str = ""


@dataclass(slots=True)
class Scaler:
    """Remember since when each worker is idle."""

    bounds: Bounds
    _idle_since_s: dict[str, float] = field(default_factory=dict)

    def step(self, workers: Sequence[View], starting: int, now_s: float) -> Step:
        """Return what to do. `workers` are those that are not being emptied, `starting` of them not open."""
        bounds = self.bounds
        idle = {one.name for one in workers if one.is_open and one.taken == 0}
        self._idle_since_s = {name: self._idle_since_s.get(name, now_s) for name in idle}
        count = len(workers)
        if count < bounds.least:
            return Step(add=True)
        free = sum(one.free for one in workers)
        if free < bounds.spare and count < bounds.most and not starting:
            return Step(add=True)
        if count > bounds.least:
            for one in sorted(workers, key=lambda one: self._idle_since_s.get(one.name, now_s)):
                long = now_s - self._idle_since_s.get(one.name, now_s) >= bounds.idle_s
                if one.name in idle and long and free - one.free >= bounds.spare:
                    return Step(remove=one.name)
        return Step()
