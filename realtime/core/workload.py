"""What ways to work there are for a stage of several steps a picture, and what age each leads to.

With equal steps there are two ways:

- "stream": a picture enters at each tick and takes one step in each, together with the others in flight.
  age = wait + n * (cost(n rows) + rest)
- "burst": all n steps of a picture at once, then the next picture.
  age = wait + n * cost(1 row) + rest

where `rest` is encoder and decoder, and a picture waits for the work before it, but no longer than until a
newer one takes its place. A burst is never older, but gives fewer pictures when the machine cannot keep pace.
So it is taken where it can keep pace, and otherwise before steps are given up, unless more than half the
pictures were lost by it. Rows count for every session that shares the engine.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from math import ceil
from typing import Literal

from .costs import Costs

LEAST_RATE = 0.5
"""Share of a stream's pictures that a burst must give."""
LATE_SHARE = 0.95
"""Of the longest wait; age is predicted for the 95th of 100 pictures."""

Way = Literal["stream", "burst"]


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold what is asked for, and of whom."""

    key: Hashable
    rest_key: Hashable | None
    steps: int
    rows_per_step: int
    sessions: int
    interval_ms: float
    max_age_ms: float

    @property
    def own(self) -> tuple[int, int, float]:
        """What people set, and see obeyed at once."""
        return self.steps, self.rows_per_step, self.max_age_ms


@dataclass(frozen=True, slots=True)
class Choice:
    """Hold one way to work."""

    steps: int
    skip_every: int = 1
    way: Way = "stream"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Say what a choice leads to."""

    rows: int
    """Rows of a call, at most."""
    age_ms: float
    """Age of 95 of 100 pictures."""
    period_ms: float
    """Time from one picture to the next, if the camera is fast enough."""


def choices(costs: Costs, wish: Wish, way: Way, share: float) -> list[Choice]:
    """List what may be done, most work first: steps go before pictures are skipped.

    The present `way` is held on to: the other one is preferred only by a margin, `share` of the limit.
    """
    margin = 1.0 if way == "burst" else share
    found = []
    for steps in range(wish.steps, 1, -1):
        stream, burst = Choice(steps), Choice(steps, way="burst")
        burst_ms = outlook(costs, wish, burst).period_ms
        if burst_ms <= margin * wish.interval_ms:
            found += [burst, stream]
        elif burst_ms * LEAST_RATE <= margin * outlook(costs, wish, stream).period_ms:
            found += [stream, burst]
        else:
            found += [stream]
    return [*found, *(Choice(1, skip) for skip in range(1, wish.sessions + 1))]


def outlook(costs: Costs, wish: Wish, choice: Choice) -> Outlook:
    """Predict what a choice leads to. The cost of the wish's key must be known."""
    pictures = ceil(wish.sessions / choice.skip_every)
    rest_ms = costs.work_ms(wish.rest_key, pictures) or 0.0 if wish.rest_key is not None else 0.0
    steps, rows = choice.steps, pictures * wish.rows_per_step
    if choice.way == "burst":
        age_ms = period_ms = steps * _work_ms(costs, wish, rows) + rest_ms
        return Outlook(rows, LATE_SHARE * min(wish.interval_ms, period_ms) + age_ms, period_ms)
    in_flight = steps  # of each session; fewer where ticks are faster than the camera
    period_ms = _work_ms(costs, wish, in_flight * rows) + rest_ms
    while (needed := ceil(steps * period_ms / wish.interval_ms)) < in_flight:
        in_flight = needed
        period_ms = _work_ms(costs, wish, in_flight * rows) + rest_ms
    wait_ms = LATE_SHARE * min(wish.interval_ms, period_ms)
    return Outlook(in_flight * rows, wait_ms + steps * period_ms, period_ms)


def _work_ms(costs: Costs, wish: Wish, rows: int) -> float:
    ms = costs.work_ms(wish.key, rows)
    if ms is None:
        raise ValueError(f"what {wish.key} costs is not known")
    return ms
