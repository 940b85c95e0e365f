"""What it costs to give a core away: bursts of `sched_yield`, beside a thread that computes on the same core.

OpenVINO's threads wait for one another so, some 1,500 times a picture. Two processes are held on one core.
One computes all the time: not at all ("alone"), nicer by 10, or only when a core is idle. The one that yields
takes turns of the usual length, or short ones (`realtime/core/turns.py`). Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Event
from typing import Any

from benchmarks._measure import median, print_table
from realtime.core.errors import ConfigError
from realtime.core.turns import hurry, run_when_idle, step_back, turn_ms

YIELDS = 1500
BESIDE = ("alone", "nicer", "idle")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bursts", type=int, default=20)


def run(options: argparse.Namespace) -> dict[str, Any]:
    if sys.platform != "linux":
        raise ConfigError("Only Linux lets a thread say who goes first.", hint="Run it there.")
    figures = {
        f"{turns}_{beside}_ms": round(_bursts(turns, beside, options.bursts), 1)
        for turns in ("usual", "short")
        for beside in BESIDE
    }
    print_table(figures)
    return {**figures, "yields": YIELDS, "usual_turn_ms": turn_ms()}


def _bursts(turns: str, beside: str, bursts: int) -> float:
    """Return the median time of a burst, ms."""
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    core = min(os.sched_getaffinity(0))
    computes = context.Process(target=_compute, args=(beside, core, ready, over), daemon=True)
    line, far = context.Pipe(duplex=False)
    yields = context.Process(target=_yield, args=(turns, core, bursts, far), daemon=True)
    try:
        if beside != "alone":
            computes.start()
            ready.wait(60)
        yields.start()
        return median(line.recv())
    finally:
        over.set()
        for process in (computes, yields):
            if process.pid is not None:
                process.join(60)


def _compute(beside: str, core: int, ready: Event, over: Event) -> None:
    os.sched_setaffinity(0, {core})
    if beside == "idle":
        run_when_idle()
    else:
        step_back(10)
    ready.set()
    while not over.is_set():
        sum(range(10_000))


def _yield(turns: str, core: int, bursts: int, line: Any) -> None:
    os.sched_setaffinity(0, {core})
    if turns == "short":
        hurry()
    took = []
    for _ in range(bursts):
        time.sleep(0.02)
        begin = time.perf_counter()
        for _ in range(YIELDS):
            os.sched_yield()
        took.append((time.perf_counter() - begin) * 1e3)
    line.send(took)
