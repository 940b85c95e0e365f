"""Two sessions for half an hour: does age, memory, or anything else grow?

The server and each client have a process of their own. The last tenth is held against the first, in which
caches fill; what goes on growing shows in the second half. The slope of the age is Theil and Sen's, over the
medians of short spells: what a machine does besides moves it less than a mean.
"""

from __future__ import annotations

import argparse
import itertools
import threading
from contextlib import ExitStack
from typing import Any

import psutil

from benchmarks._measure import median, print_table, quantile
from benchmarks._processes import Seen, Server, begin_visit, serving
from benchmarks.transport import OURS

SAMPLE_S = 5.0
SHARE = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--sessions", type=int, default=2)


def run(options: argparse.Namespace) -> dict[str, Any]:
    seconds = 60 * options.minutes
    with serving(*OURS) as server, ExitStack() as stack:
        visits = [stack.enter_context(begin_visit(server, seconds)) for _ in range(options.sessions)]
        books = Books(server)
        seen = [visit.finish() for visit in visits]
        books.stop()
    figures: dict[str, Any] = {"minutes": options.minutes, "sessions": options.sessions}
    early_ms, late_ms = ([age for one in seen for age in ages(one, part)] for part in ("early", "late"))
    figures |= {
        "age_ms_p50_early": round(median(early_ms), 1), "age_ms_p50_late": round(median(late_ms), 1),
        "age_ms_p95_early": round(quantile(early_ms, 0.95), 1),
        "age_ms_p95_late": round(quantile(late_ms, 0.95), 1),
        "fps": round(median([one.fps for one in seen]), 1),
        "age_slope_ms_an_hour": round(median([slope_an_hour(one) for one in seen]), 2),
        "longest_gap_ms": round(max(one.longest_gap_ms() for one in seen)),
        **books.figures(),
    }  # fmt: skip
    print_table(figures)
    return figures


def ages(seen: Seen, part: str) -> list[float]:
    """Return the ages of the first or the last tenth of a visit."""
    edge_s = SHARE * seen.seconds
    pairs = zip(seen.at_s, seen.ages_ms, strict=True)
    if part == "early":
        return [age for at, age in pairs if at < edge_s]
    return [age for at, age in pairs if at > seen.seconds - edge_s]


def slope_an_hour(seen: Seen, spells: int = 30) -> float:
    """Return by how many ms the age of pictures grows in an hour."""
    edges = [k * seen.seconds / spells for k in range(spells + 1)]
    points = []
    for begin, end in itertools.pairwise(edges):
        ages_ms = [age for at, age in zip(seen.at_s, seen.ages_ms, strict=True) if begin <= at < end]
        if ages_ms:
            points.append((begin, median(ages_ms)))
    slopes = [(b - a) / (t - s) for (s, a), (t, b) in itertools.combinations(points, 2)]
    return 3600 * median(slopes) if slopes else 0.0


class Books:
    """Note the server's memory, threads and open files every few seconds, until `stop`."""

    def __init__(self, server: Server) -> None:
        self._process = psutil.Process(server.pid)
        self._rows: list[tuple[float, int, int]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="books", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Note no more."""
        self._stopped.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """Return the medians of the first and the last tenth."""
        count = max(1, int(SHARE * len(self._rows)))
        found: dict[str, Any] = {}
        for at, name in enumerate(("memory_mb", "threads", "files")):
            values = [row[at] for row in self._rows]
            found[f"{name}_early"] = round(median(values[:count]), 1)
            found[f"{name}_late"] = round(median(values[-count:]), 1)
        memory = [row[0] for row in self._rows]
        tenths = [median(memory[k : k + count]) for k in range(0, len(memory) - count + 1, count)]
        found["memory_mb_tenths"] = [round(one) for one in tenths]
        found["memory_growth"] = round(found["memory_mb_late"] / found["memory_mb_early"] - 1, 4)
        found["memory_growth_second_half"] = round(tenths[-1] / tenths[len(tenths) // 2] - 1, 4)
        return found

    def _run(self) -> None:
        while True:
            one = self._process
            self._rows.append((one.memory_info().rss / 1e6, one.num_threads(), one.num_fds()))
            if self._stopped.wait(SAMPLE_S):
                return
