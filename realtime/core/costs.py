"""Learn what a call of an engine costs for a number of rows, from the calls that are made anyway.

Two things are told apart. How cost grows with rows belongs to engine and machine and stays; how loaded the
machine is now multiplies all of it and may change within a second. So

    cost(rows) = load * bare(rows)

where `load` is the median of how much the last few calls took against what was expected, and `bare` the
median of many calls with their load taken off. One slow call moves neither; after three, a machine that
slowed down is known, and known for row counts that were not run since. Between measured row counts `bare` is
a straight line, beyond them it goes on as they do; it never falls as rows grow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Hashable, Iterable
from itertools import accumulate

from .clock import NS_PER_S, Clock, MonotonicClock

KEPT = 25
"""Calls of a row count from which its bare cost is known."""
RECENT = 5
"""Calls from which the load is known; more than half of them must agree on a change."""
RECENT_NS = 3 * NS_PER_S
"""Older calls say nothing about the load once there are newer ones."""
TRUSTED = 2
"""Calls of a row count before its cost is believed: the first of a shape often pays for a build."""
LEAST_MS = 1e-3

EXPLORE_EVERY = 16
"""Of the questions how to split, each so manieth may be answered by a split that has yet to be measured."""
EXPLORE_TRIES = 3
"""So often is a split tried for the sake of knowing, at most."""
HOPELESS = 2.0
"""A split guessed to cost so many times the best one is not tried."""
GAIN = 0.05
"""A split must be cheaper than one call by this share; below it the difference is noise."""


class Costs:
    """Know the cost of calls, by a key for what is called (engine, shape, precision) and the number of rows.

    For one thread. Memory is bounded by the number of keys and row counts.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or MonotonicClock()
        self._curves: dict[Hashable, _Curve] = {}
        self._asked: dict[Hashable, int] = {}
        self._tries: dict[tuple[Hashable, tuple[int, ...]], int] = {}
        self._chosen: dict[tuple[Hashable, int], tuple[int, ...]] = {}
        self._extra: dict[tuple[Hashable, tuple[int, ...]], deque[float]] = {}

    def observe(self, key: Hashable, rows: int, ms: float) -> None:
        """Learn from one call. Raises ValueError for no rows or a time that is none."""
        if rows < 1 or not 0 <= ms < float("inf"):
            raise ValueError(f"a call has one row or more and takes some time, got {rows} rows, {ms} ms")
        self._curves.setdefault(key, _Curve()).observe(rows, max(ms, LEAST_MS), self._clock.now_ns())

    def observe_split(self, key: Hashable, split: tuple[int, ...], ms: float) -> None:
        """Learn what a split took as a whole: more than its calls take elsewhere, where caches are warm."""
        expected_ms = self._sum_ms(key, split)
        if expected_ms:
            self._extra.setdefault((key, split), deque(maxlen=RECENT)).append(ms / expected_ms)

    def cost_ms(self, key: Hashable, rows: int) -> float | None:
        """Return what one call would take now; None while less than two calls of one size were seen."""
        curve = self._curves.get(key)
        return None if curve is None else curve.cost_ms(rows)

    def work_ms(self, key: Hashable, rows: int) -> float | None:
        """Return what `rows` would take now in the calls that `best_rows` last chose for them."""
        return self._sum_ms(key, self._chosen.get((key, rows), (rows,)))

    def best_rows(self, key: Hashable, rows: int, *, explore: bool = True) -> tuple[int, ...]:
        """Split `rows` into calls: one, or several of a power of two, whichever was measured to be cheapest.

        Where `explore` allows it, now and then the answer is a split that has yet to be measured: each at
        most `EXPLORE_TRIES` times, in one question of `EXPLORE_EVERY`. Nothing here depends on chance.
        """
        if rows < 1:
            raise ValueError(f"there is nothing to split in {rows} rows")
        if rows == 1:
            return (1,)
        whole, *others = _splits(rows)
        curve = self._curves.get(key)
        if curve is None or not others or not curve.is_measured(rows):
            return whole
        self._asked[key] = asked = self._asked.get(key, 0) + 1
        costs_ms = {split: self._split_ms(key, split) for split in (whole, *others)}
        known = [split for split in others if all(map(curve.is_measured, split))]
        best = min(known, key=costs_ms.__getitem__, default=whole)
        if costs_ms[best] > costs_ms[whole] * (1.0 - GAIN):
            best = whole
        self._chosen[key, rows] = best
        if explore and asked % EXPLORE_EVERY == 0:
            for split in others:
                tries = self._tries.get((key, split), 0)
                is_promising = costs_ms[split] <= HOPELESS * costs_ms[best]
                if split not in known and tries < EXPLORE_TRIES and is_promising:
                    self._tries[key, split] = tries + 1
                    return split
        return best

    def _split_ms(self, key: Hashable, split: tuple[int, ...]) -> float:
        """Return what a split would take now, by its calls and by what it has taken as a whole."""
        seen = self._extra.get((key, split), ())
        return (self._sum_ms(key, split) or 0.0) * (max(1.0, _middle(seen)) if seen else 1.0)

    def _sum_ms(self, key: Hashable, split: tuple[int, ...]) -> float | None:
        costs_ms = [self.cost_ms(key, rows) for rows in split]
        known = [one for one in costs_ms if one is not None]
        return sum(known) if len(known) == len(costs_ms) else None


class _Curve:
    """Hold load and bare costs of one key."""

    def __init__(self) -> None:
        self._bare: dict[int, deque[float]] = {}
        self._loads: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._load = 1.0
        self._line: tuple[list[int], list[float]] | None = None

    def is_measured(self, rows: int) -> bool:
        return len(self._bare.get(rows, ())) >= TRUSTED

    def observe(self, rows: int, ms: float, now_ns: int) -> None:
        calls = self._bare.setdefault(rows, deque(maxlen=KEPT))
        if self.is_measured(rows):
            self._loads.append((now_ns, ms / _middle(calls)))
            while now_ns - self._loads[0][0] > RECENT_NS:
                self._loads.popleft()
            self._load = _middle([load for _, load in self._loads])
        calls.append(ms / self._load)
        self._line = None

    def cost_ms(self, rows: int) -> float | None:
        xs, ys = self._line = self._line or self._measured()
        if not xs:
            return None
        guess = _along(xs, ys, rows)
        alone = self._bare.get(rows)
        if (
            alone is not None and len(alone) == 1
        ):  # it may hold a build, so it is only believed where it is good news
            guess = min(guess, alone[0])
        return guess * self._load

    def _measured(self) -> tuple[list[int], list[float]]:
        """Return the measured row counts and their bare costs, made to rise: halfway between envelopes."""
        xs = sorted(filter(self.is_measured, self._bare))
        raw = [_middle(self._bare[x]) for x in xs]
        upper = accumulate(raw, max)
        lower = reversed(list(accumulate(reversed(raw), min)))
        return xs, [(u + low) / 2 for u, low in zip(upper, lower, strict=True)]


def _middle(values: Iterable[float]) -> float:
    """Return the lower median, for each call: `statistics.median_low` takes three times as long."""
    ranked = sorted(values)
    return ranked[(len(ranked) - 1) // 2]


def _along(xs: list[int], ys: list[float], x: int) -> float:
    """Return the height at `x` of the line through the points; beyond them it keeps their mean slope.

    With one point, a call is taken to cost as much as a row does. A line through the origin is the steepest.
    """
    slope = (ys[-1] - ys[0]) / (xs[-1] - xs[0]) if len(xs) > 1 else ys[0] / (1 + xs[0])
    if x >= xs[-1]:
        return ys[-1] + min(slope, ys[-1] / xs[-1]) * (x - xs[-1])
    if x <= xs[0]:
        return ys[0] - min(slope, ys[0] / xs[0]) * (xs[0] - x)
    after = bisect_left(xs, x)
    share = (x - xs[after - 1]) / (xs[after] - xs[after - 1])
    return ys[after - 1] + share * (ys[after] - ys[after - 1])


def _splits(rows: int) -> list[tuple[int, ...]]:
    """Return the ways to split rows: all at once, then powers of two, large ones first, and what remains."""
    sizes = [1 << power for power in reversed(range(rows.bit_length())) if 1 << power < rows]
    return [(rows,), *((size,) * (rows // size) + (rows % size,) * (rows % size > 0) for size in sizes)]
