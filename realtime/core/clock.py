"""Time as an argument, so that tests own it: a monotonic clock in nanoseconds and tick arithmetic."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Tell monotonic time; its zero means nothing, only differences do."""

    def now_ns(self) -> int: ...


class MonotonicClock:
    """Tell the machine's monotonic time."""

    def now_ns(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """Tell the time that a test sets."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, *, ms: float = 0.0, ns: int = 0) -> None:
        """Move forward by `ms` milliseconds and `ns` nanoseconds."""
        step = round(ms * NS_PER_MS) + ns
        if step < 0:
            raise ValueError(f"a monotonic clock cannot go back; asked for {step} ns")
        self._now_ns += step


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Convert `ticks` of `time_base` seconds each to nanoseconds, rounded to the nearest."""
    return round(ticks * time_base * NS_PER_S)


def ns_to_ticks(ns: int, time_base: Fraction) -> int:
    """Convert nanoseconds to the nearest whole tick of `time_base` seconds."""
    return round(Fraction(ns, NS_PER_S) / time_base)
