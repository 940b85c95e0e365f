"""The camera's way over several pictures: put together, cut at any moment, and claimed only where known."""

from __future__ import annotations

import numpy as np

from perception.flow.camera import in_cells, in_shares
from perception.flow.path import KEPT, CameraPath

TURN = np.array([[0.99, -0.05, 0.02], [0.04, 1.01, -0.03]])
SHIFT = np.array([[1.0, 0.0, 0.1], [0.0, 1.0, 0.0]])


def whole(camera_23: np.ndarray) -> np.ndarray:
    return np.vstack([camera_23, [0, 0, 1]])


def test_steps_are_put_one_after_the_other() -> None:
    path = CameraPath().onward(0, 10, TURN).onward(10, 20, SHIFT)
    found = path.between(0, 20)
    assert found is not None
    assert np.allclose(whole(found), whole(SHIFT) @ whole(TURN))
    assert np.allclose(path.between(0, 10), TURN)


def test_within_a_step_the_motion_is_even() -> None:
    path = CameraPath().onward(0, 10, SHIFT).onward(10, 20, SHIFT)
    found = path.between(5, 12)
    assert found is not None
    assert np.allclose(found[:, 2], [0.07, 0.0])


def test_what_is_not_covered_is_not_known() -> None:
    path = CameraPath().onward(10, 20, SHIFT).onward(20, 30, SHIFT)
    assert path.between(9, 20) is None
    assert path.between(20, 31) is None
    assert path.between(20, 20) is None
    assert CameraPath().between(0, 1) is None


def test_a_gap_or_a_picture_that_was_not_understood_begins_anew() -> None:
    path = CameraPath().onward(0, 10, SHIFT)
    assert path.onward(12, 20, SHIFT).between(0, 20) is None
    assert path.onward(10, 20, None).onward(20, 30, SHIFT).between(0, 30) is None
    assert path.onward(10, 20, None).onward(20, 30, SHIFT).between(20, 30) is not None


def test_it_remembers_so_much_and_no_more() -> None:
    path = CameraPath()
    for k in range(3 * KEPT):
        path = path.onward(10 * k, 10 * k + 10, SHIFT)
    assert len(path.steps) == KEPT


def test_shares_and_cells_say_the_same() -> None:
    cells = in_cells(TURN, 64, 48)
    assert np.allclose(in_shares(cells, 64, 48), TURN)
    point = np.array([0.3, 0.6])
    px = point * (64, 48) - 0.5
    moved = (cells[:, :2] @ px + cells[:, 2] + 0.5) / (64, 48)
    assert np.allclose(moved, TURN[:, :2] @ point + TURN[:, 2])
