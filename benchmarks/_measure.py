"""What the benchmarks share: medians, a table, the process's memory, and work in interleaved segments."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psutil


class Spent(NamedTuple):
    """Seconds that a frame took."""

    wall_s: float
    cpu_s: float
    """Of all threads of the process that painted: on a machine with other work the steadier of the two."""


def median(values: Sequence[float]) -> float:
    """Return the median; 0 for no values, so that an empty run shows at once."""
    return statistics.median(values) if values else 0.0


def quantile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile of unsorted values, q in 0..1; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def rss_mb() -> float:
    """Return this process's resident memory in MB (1e6 bytes)."""
    return float(psutil.Process().memory_info().rss) / 1e6


def print_table(rows: Mapping[str, object]) -> None:
    """Print name and value, one a line."""
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        shown = f"{value:10.3f}" if isinstance(value, float) else f"{value!s:>10}"
        print(f"  {name:{width}} {shown}", flush=True)
