"""Decide from measured times how a batch is run, and how many threads to use. The engine measures.

On two cores a batch of two costs about what two single rows cost, since one row already fills both cores.
What a second row can save is the waiting at the end of each layer: two requests of one thread each do not
wait for one another. Which is faster depends on network, size and machine, so it is measured when a shape is
warmed. A neighbour that comes or goes may turn the answer round, so it is looked at again, ever more rarely,
while pictures are painted.
"""

from __future__ import annotations

import os
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

STREAMS = 2
MOST_THREADS = 8
"""Small networks gain nothing from more, and lanes share the machine."""
GAIN = 0.03
"""A split must be faster by this share: below it the difference is noise, and one call holds less memory."""
APART_GAIN = 0.15
"""The same where the two ways round differently: then a near tie must not be told apart by chance, or the
same seed would not paint the same picture twice."""
ROUNDS = 5
LOOK_AGAIN = (32, 256)
"""Runs until the other way is tried once, at first and at most: it doubles each time nothing changed."""
TRIES = 5
"""Tries of the other way that decide, against as many of the usual one's latest times."""
TURN_GAIN = 0.1
"""What turns a plan round must be faster by this share, so that it does not go to and fro."""

Way = Literal["batch", "rows"]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Hold how a batch is run: "batch" in one call, or "rows" as single rows on two streams."""

    way: Way
    rows: int
    batch_ms: float | None = None
    """Measured time of one call with all rows; None when it was not measured."""
    rows_ms: float | None = None

    @property
    def is_measured(self) -> bool:
        """Tell whether both ways were timed."""
        return self.batch_ms is not None and self.rows_ms is not None

    @property
    def says(self) -> str:
        how = "as single rows on two streams" if self.way == "rows" else "in one call"
        if self.batch_ms is None or self.rows_ms is None:
            return f"{self.rows} rows run {how}."
        return f"{self.rows} rows run {how}: {self.rows_ms:.1f} ms split, {self.batch_ms:.1f} ms together."


class RowWatch:
    """Keep a plan right while it is used: run the other way now and then, and change when that is faster.

    Where it may not turn, since the other way is not built, it only holds the plan.
    """

    def __init__(self, plan: RowPlan, may_turn: bool = True) -> None:
        self.plan = plan
        self._may_turn = may_turn
        self._times: dict[Way, deque[float]] = {"batch": deque(maxlen=TRIES), "rows": deque(maxlen=TRIES)}
        self._wait = LOOK_AGAIN[0]
        self._runs = 0
        """Runs since the other way was tried."""

    def next_way(self) -> Way:
        """Return how the next batch is run."""
        is_due = self._may_turn and self._runs >= self._wait
        return _other(self.plan.way) if is_due else self.plan.way

    def took(self, way: Way, ms: float) -> None:
        """Learn from a run. `TRIES` runs of the other way, each between many of the usual one, decide."""
        self._times[way].append(ms)
        if way == self.plan.way:
            self._runs += 1
            return
        self._runs = 0
        if len(self._times[way]) == TRIES:
            self._judge(way)

    def _judge(self, tried: Way) -> None:
        batch_ms, rows_ms = (statistics.median(self._times[way]) for way in ("batch", "rows"))
        own_ms, tried_ms = (batch_ms, rows_ms) if tried == "rows" else (rows_ms, batch_ms)
        is_better = tried_ms < own_ms * (1.0 - TURN_GAIN)
        self.plan = RowPlan(tried if is_better else self.plan.way, self.plan.rows, batch_ms, rows_ms)
        self._wait = LOOK_AGAIN[0] if is_better else min(2 * self._wait, LOOK_AGAIN[1])
        self._times[_other(self.plan.way)].clear()


def _other(way: Way) -> Way:
    return "rows" if way == "batch" else "batch"


def unmeasured_plan(rows: int, threads: int) -> RowPlan:
    """Return the plan for a batch size that nobody warmed: the one that needs no further build."""
    return RowPlan("rows" if may_split(rows, threads) else "batch", rows)


def may_split(rows: int, threads: int) -> bool:
    """Tell whether there is a choice at all."""
    return rows >= 2 and threads >= STREAMS


def row_plan(rows: int, batch_ms: Sequence[float], rows_ms: Sequence[float], gain: float = GAIN) -> RowPlan:
    """Return the faster way by the median of its times, in favour of one call when they are close.

    Raises ValueError without a time for each way.
    """
    together, split = statistics.median(batch_ms), statistics.median(rows_ms)
    way: Way = "rows" if split < together * (1.0 - gain) else "batch"
    return RowPlan(way, rows, batch_ms=together, rows_ms=split)


def measure(
    ways: Sequence[Callable[[], object]],
    clock_ns: Callable[[], int],
    rounds: int = ROUNDS,
    alone: AbstractContextManager[object] | None = None,
) -> list[list[float]]:
    """Return the milliseconds of each way, run in turns so that a busy moment meets all.

    The first round is not counted. `alone` is entered around each single call and not timed: a lock that
    others hold for their own calls, who then wait for one call at most.
    """
    alone = nullcontext() if alone is None else alone
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(rounds + 1):
        for times, way in zip(taken, ways, strict=True):
            with alone:
                began_ns = clock_ns()
                way()
                took_ns = clock_ns() - began_ns
            if turn:
                times.append(took_ns / 1e6)
    return taken


def usable_threads() -> int:
    """Return how many threads an engine may use here: the cores that this process may run on, at most 8."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, min(cores, MOST_THREADS))
