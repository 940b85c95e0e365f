"""Decide from measured times how a batch is run, and how many threads to use. The engine measures.

On two cores a batch of two costs about what two single rows cost, since one row already fills both cores.
What a second row can save is the waiting at the end of each layer: two requests of one thread each do not
wait for one another. Which is faster depends on network, size and machine, so it is measured once, when a
shape is warmed.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

STREAMS = 2
MOST_THREADS = 8
"""Small networks gain nothing from more, and lanes share the machine."""
GAIN = 0.03
"""A split must be faster by this share: below it the difference is noise, and one call holds less memory."""
ROUNDS = 5

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
    def says(self) -> str:
        how = "as single rows on two streams" if self.way == "rows" else "in one call"
        if self.batch_ms is None or self.rows_ms is None:
            return f"{self.rows} rows run {how}."
        return f"{self.rows} rows run {how}: {self.rows_ms:.1f} ms split, {self.batch_ms:.1f} ms together."


def unmeasured_plan(rows: int, threads: int) -> RowPlan:
    """Return the plan for a batch size that nobody warmed: the one that needs no further build."""
    return RowPlan("rows" if may_split(rows, threads) else "batch", rows)


def may_split(rows: int, threads: int) -> bool:
    """Tell whether there is a choice at all."""
    return rows >= 2 and threads >= STREAMS


def row_plan(rows: int, batch_ms: Sequence[float], rows_ms: Sequence[float]) -> RowPlan:
    """Return the faster way by the median of its times, in favour of one call when they are close.

    Raises ValueError without a time for each way.
    """
    together, split = statistics.median(batch_ms), statistics.median(rows_ms)
    way: Way = "rows" if split < together * (1.0 - GAIN) else "batch"
    return RowPlan(way, rows, batch_ms=together, rows_ms=split)


def measure(
    ways: Sequence[Callable[[], object]], clock_ns: Callable[[], int], rounds: int = ROUNDS
) -> list[list[float]]:
    """Return the milliseconds of each way, run in turns so that a busy moment meets all.

    The first round is not counted.
    """
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(rounds + 1):
        for times, way in zip(taken, ways, strict=True):
            began_ns = clock_ns()
            way()
            if turn:
                times.append((clock_ns() - began_ns) / 1e6)
    return taken


def usable_threads() -> int:
    """Return how many threads an engine may use here: the cores that this process may run on, at most 8."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, min(cores, MOST_THREADS))
