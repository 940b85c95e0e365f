"""A thread says who goes first, for itself and for what it starts, and for nobody else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from realtime.core.turns import SHORT_MS, hurry, relax, run_when_idle, step_back, turn_ms

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a thread say so")
R = TypeVar("R")


def in_thread(work: Callable[[], R]) -> R:
    """Return what `work` does on a thread of its own, so that what it sets ends with it."""
    done: list[R] = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


def nice_and_policy() -> tuple[int, int]:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), os.sched_getscheduler(0)


@pytest.mark.skipif(turn_ms() is None, reason="this kernel does not say how long turns are")
def test_in_a_hurry_all_take_short_turns_but_those_that_stepped_back() -> None:
    usual_ms, usual = turn_ms(), nice_and_policy()
    began, look, seen = threading.Barrier(3), threading.Barrier(3), list[float | None]()

    def work(niceness: int) -> None:
        step_back(niceness)
        began.wait(20)
        look.wait(20)
        seen.append(turn_ms())

    threads = [threading.Thread(target=work, args=(niceness,)) for niceness in (0, 3)]
    for thread in threads:
        thread.start()
    began.wait(20)
    in_thread(hurry_from_behind)
    try:
        hurry()
        relax()  # not the last
        assert nice_and_policy() == usual
        assert turn_ms() == pytest.approx(SHORT_MS)
        assert in_thread(turn_ms) == pytest.approx(SHORT_MS)
        assert in_thread(late) == usual_ms
        look.wait(20)
        for thread in threads:
            thread.join()
    finally:
        relax()
    assert {round(one or 0, 1) for one in seen} == {SHORT_MS, round(usual_ms or 0, 1)}
    assert turn_ms() == usual_ms != pytest.approx(SHORT_MS)


def late() -> float | None:
    step_back(3)
    return turn_ms()


def hurry_from_behind() -> None:
    step_back(5)
    hurry()


def test_what_runs_when_idle_stays_so_with_all_that_it_starts() -> None:
    nice, usual = nice_and_policy()

    def rest() -> tuple[int, int]:
        step_back(3)
        run_when_idle()
        return in_thread(nice_and_policy)

    assert in_thread(rest) == (min(nice + 3, 19), os.SCHED_IDLE)
    assert nice_and_policy() == (nice, usual)
