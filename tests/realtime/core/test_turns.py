"""A thread says who goes first, for itself and for what it starts, and for nobody else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from realtime.core.turns import SHORT_MS, run_when_idle, step_back, take_short_turns, turn_ms

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
def test_short_turns_go_to_what_is_started_and_end_where_one_steps_back() -> None:
    usual_ms, usual = turn_ms(), nice_and_policy()

    def hurry() -> list[float | None]:
        take_short_turns()
        assert nice_and_policy() == usual
        return [turn_ms(), in_thread(turn_ms), in_thread(late)]

    def late() -> float | None:
        step_back(3)
        return turn_ms()

    assert in_thread(hurry) == [pytest.approx(SHORT_MS), pytest.approx(SHORT_MS), usual_ms]
    assert turn_ms() == usual_ms != pytest.approx(SHORT_MS)


def test_what_runs_when_idle_stays_so_with_all_that_it_starts() -> None:
    nice, usual = nice_and_policy()

    def rest() -> tuple[int, int]:
        step_back(3)
        run_when_idle()
        return in_thread(nice_and_policy)

    assert in_thread(rest) == (min(nice + 3, 19), os.SCHED_IDLE)
    assert nice_and_policy() == (nice, usual)
