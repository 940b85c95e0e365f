"""The step that a forecasting detector takes follows the measured delay, on the frames that it really saw."""

from __future__ import annotations

import pytest

from perception.detectors.horizon import horizon

MS = 1_000_000
EVEN = [33 * MS * k for k in range(20)]


@pytest.mark.parametrize(
    ("delay_ms", "step"), [(0, 0), (10, 0), (25, 1), (33, 1), (60, 2), (100, 3), (140, 4), (900, 4)]
)
def test_the_step_follows_the_delay(delay_ms: int, step: int) -> None:
    found = horizon(EVEN, delay_ms / 1e3, past=3)
    assert found.step == step
    assert found.ahead_s == pytest.approx(step * 0.033)


def test_where_nobody_measured_it_is_one_step() -> None:
    assert horizon(EVEN, None, past=3) == (1, pytest.approx(0.033))


def test_a_first_picture_tells_nothing_of_motion() -> None:
    assert horizon(EVEN[:1], 0.1, past=3) == (0, 0.0)
    assert horizon(EVEN[:1], None, past=3) == (0, 0.0)
    assert horizon(EVEN[:2], 0.1, past=3) == (1, pytest.approx(0.033))


def test_the_interval_is_the_one_between_the_frames_that_are_joined() -> None:
    skipping = [33 * MS * k for k in (0, 1, 3, 4, 6, 7, 9, 10, 12)]  # a detector that takes 1.5 intervals
    found = horizon(skipping, 0.09, past=3)
    assert found.step == 2
    assert found.ahead_s == pytest.approx(0.099)


def test_a_young_stream_measures_what_it_has() -> None:
    found = horizon([0, 40 * MS, 80 * MS], 0.08, past=3)
    assert found == (2, pytest.approx(0.08))
