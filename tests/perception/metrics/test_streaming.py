"""Time in streaming perception: which frames are run on, and which answer counts at which frame."""

from __future__ import annotations

import math

import pytest

from perception.metrics.streaming import Run, newest, runs, staleness

FPS = 30.0


def simulated(frames_each: float, policy: str = "newest", count: int = 600) -> list[Run]:
    runtime_s = frames_each / FPS
    return runs(count, FPS, lambda k: runtime_s, policy, usual_s=runtime_s)  # type: ignore[arg-type]


def test_a_fast_detector_runs_on_every_frame_and_is_one_frame_late() -> None:
    done = simulated(0.6, count=5)
    assert [run.frame for run in done] == [0, 1, 2, 3, 4]
    assert [run.start_s * FPS for run in done] == pytest.approx([0, 1, 2, 3, 4])
    assert newest([run.finish_s for run in done], 5, FPS) == [None, 0, 1, 2, 3]
    assert staleness(done, 5, FPS).mean_frames == 1
    assert staleness(done, 5, FPS).missed == 1


def test_a_slow_one_takes_the_newest_frame_when_it_is_free() -> None:
    done = simulated(1.5, count=8)
    assert [run.frame for run in done] == [0, 1, 3, 4, 6, 7]
    assert [run.start_s * FPS for run in done] == pytest.approx([0, 1.5, 3, 4.5, 6, 7.5])


@pytest.mark.parametrize(
    ("frames_each", "plain", "tail"), [(1.5, 2.67, 2.50), (1.75, 3.14, 2.50), (2.7, 4.55, 4.00)]
)
def test_the_shrinking_tail_waits_for_the_next_frame_where_that_is_younger(
    frames_each: float, plain: float, tail: float
) -> None:
    """The figures are the official simulator's, to which an answer that comes just in time is late."""
    count = 2000
    for policy, wanted in (("newest", plain), ("shrinking-tail", tail)):
        done = simulated(frames_each + 1e-6, policy, count)
        assert staleness(done, count, FPS).mean_frames == pytest.approx(wanted, abs=0.02)


def test_with_a_worker_for_each_frame_only_the_run_itself_counts() -> None:
    done = simulated(2.5, "infinite", 50)
    assert len(done) == 50
    assert staleness(done, 50, FPS).mean_frames == pytest.approx(3.0)


def test_late_answers_of_older_frames_do_not_replace_younger_ones_out_of_turn() -> None:
    took = iter([4.0, 1.0, 1.0])
    done = runs(3, FPS, lambda k: next(took) / FPS, "infinite")
    assert [run.frame for run in done] == [1, 2, 0]
    assert [run.finish_s for run in done] == sorted(run.finish_s for run in done)


def test_eta_demands_the_answer_earlier() -> None:
    finish_s = [1 / FPS, 2 / FPS]
    assert newest(finish_s, 4, FPS) == [None, 0, 1, 1]
    assert newest(finish_s, 4, FPS, eta=1.0) == [None, None, 0, 1]


def test_nothing_finished_is_said() -> None:
    found = staleness([], 10, FPS)
    assert math.isnan(found.mean_frames)
    assert (found.missed, found.unused) == (10, 1.0)
