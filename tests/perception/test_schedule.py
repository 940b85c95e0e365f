"""When a detector begins: the younger picture is waited for, and a rest is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perception.metrics.streaming import Run, staleness
from perception.schedule import Schedule, worth_waiting
from realtime.core.clock import NS_PER_S

FPS, FRAMES = 30.0, 1200


def lived(run_frames: np.ndarray, *, share: float = math.inf, waits: bool = True) -> list[Run]:
    """Run a detector on a stream as a live stage does: asked when it is free and when a picture comes."""
    schedule, now_ns, last, done = Schedule(share), 0, -1, list[Run]()
    while True:
        frame = math.floor(now_ns / NS_PER_S * FPS + 1e-9)
        if frame >= FRAMES:
            return done
        came_ns = round(frame / FPS * NS_PER_S)
        if frame == last or not schedule.begins(now_ns, came_ns, 1 / FPS if waits else 0.0):
            next_ns = math.ceil((frame + 1) / FPS * NS_PER_S)
            rest_ns = round(schedule.rest_s(now_ns) * NS_PER_S)
            now_ns = min(next_ns, now_ns + rest_ns) if rest_ns and frame != last else next_ns
            continue
        ended_ns = now_ns + round(float(run_frames[len(done)]) / FPS * NS_PER_S)
        schedule.ran(now_ns, ended_ns)
        done.append(Run(frame, now_ns / NS_PER_S, ended_ns / NS_PER_S))
        now_ns, last = ended_ns, frame


def stale(done: list[Run]) -> float:
    return staleness(done, FRAMES, FPS).mean_frames


@pytest.mark.parametrize(
    ("frames", "plain", "waiting"), [(1.5, 2.67, 2.5), (1.75, 3.14, 2.5), (2.7, 4.55, 4.0)]
)
def test_waiting_makes_answers_younger_by_what_the_official_simulator_says(
    frames: float, plain: float, waiting: float
) -> None:
    runs = np.full(FRAMES, frames + 1e-6)
    assert stale(lived(runs, waits=False)) == pytest.approx(plain, abs=0.02)
    assert stale(lived(runs)) == pytest.approx(waiting, abs=0.02)


@pytest.mark.parametrize("spread", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("frames", [0.6, 1.2, 1.5, 1.75, 2.25, 2.7, 3.3, 4.6])
def test_durations_that_vary_never_make_waiting_worse(frames: float, spread: float) -> None:
    draw = np.random.default_rng(0)
    runs = np.maximum(frames * (1 + spread * draw.standard_normal(4 * FRAMES)), 0.2)
    assert stale(lived(runs)) <= stale(lived(runs, waits=False)) + 0.03


def test_nobody_waits_for_a_run_that_ends_within_the_frame_nor_without_knowing() -> None:
    assert not worth_waiting(0.5, [0.7] * 5)
    assert not worth_waiting(0.5, [])
    assert not worth_waiting(0.0, [1.75] * 5)
    assert not worth_waiting(1.2, [1.75] * 5)  # the next picture is overdue
    assert worth_waiting(0.75, [1.75] * 5)
    assert not worth_waiting(0.75, [1.0, 2.5] * 5)  # anybody's guess


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_the_share_of_a_core_is_kept(share: float) -> None:
    done = lived(np.full(FRAMES, 1.4), share=share)
    busy_s = sum(run.finish_s - run.start_s for run in done)
    assert 0.8 * share < busy_s / (FRAMES / FPS) <= share + 0.01


def test_the_rest_follows_from_the_time_of_all_threads() -> None:
    schedule = Schedule(share=0.5)
    assert schedule.rest_s(0) == 0.0
    schedule.ran(0, 100, busy_s=200e-9)
    assert schedule.rest_s(100) == pytest.approx(300e-9)
    assert not schedule.begins(399, 399, 0.0)
    assert schedule.begins(400, 400, 0.0)


def test_another_detector_begins_anew() -> None:
    schedule = Schedule()
    for k in range(5):
        schedule.ran(k * NS_PER_S, k * NS_PER_S + 175)
    assert not schedule.begins(5 * NS_PER_S + 75, 5 * NS_PER_S, 100e-9)
    schedule.reset()
    assert schedule.begins(5 * NS_PER_S + 75, 5 * NS_PER_S, 100e-9)
