"""The stage that sees motion: what moved, what was hidden, how the camera went, and when it begins anew."""

from __future__ import annotations

import numpy as np
import pytest

from perception.flow.stage import working_size
from tests.perception.flow.views import SIZE, opened, seen, view, wall, watched, with_thing

WALL, OTHER = wall(0), wall(1)
INNER = np.s_[16:-16, 16:-16]


def test_the_first_picture_has_nothing_to_be_compared_with() -> None:
    flow = seen(opened(), view(WALL, 50), 0)
    assert flow.before is None
    assert flow.span_s == 0.0
    assert flow.camera_23 is None
    assert not flow.consistent_HW.any()
    assert not flow.forward_HW2.any()
    assert flow.forward_HW2.dtype == np.float32


def test_forward_is_where_things_go_and_backward_where_they_came_from() -> None:
    """The camera looks 3 px further to the right: all that it sees goes 3 px to the left."""
    _, flow = watched(opened(), [view(WALL, 50), view(WALL, 53)])
    assert flow.before is not None
    assert flow.before.seq == 0
    assert np.abs(flow.forward_HW2[INNER] - (-3, 0)).mean() < 0.1
    assert np.abs(flow.backward_HW2[INNER] - (3, 0)).mean() < 0.1
    assert flow.consistent_HW[INNER].mean() > 0.98
    assert flow.speed == pytest.approx(3 / 128 * 30, rel=0.05)
    maps = flow.maps()
    assert maps["flow"] is flow.backward_HW2
    assert maps["occlusion"].max() == 1.0


def test_what_was_behind_a_thing_is_not_consistent_and_the_rest_is() -> None:
    """A square goes 8 px to the right: what comes out on its left was not to be seen."""
    still = view(WALL, 50)
    before, now = (with_thing(still, OTHER, left, top=24, side=80) for left in (50, 58))
    flow = watched(opened(), [before, now])[1]
    come_out, inside, far = np.s_[30:98, 52:57], np.s_[34:94, 70:126], np.s_[:, 160:185]
    assert (~flow.consistent_HW[come_out]).mean() > 0.5
    assert flow.consistent_HW[inside].mean() > 0.98
    assert flow.consistent_HW[far].all()
    assert np.abs(flow.backward_HW2[inside] - (-8, 0)).mean() < 0.3


@pytest.mark.parametrize(("half", "off"), [(False, 0.003), (True, 0.006)])
def test_the_camera_is_told_from_a_thing_that_moves(half: bool, off: float) -> None:
    """A pan of 4 px to the left and a zoom by 1 %, with a square that goes another way."""
    first = with_thing(view(WALL, 50), OTHER, 30)
    second = with_thing(view(WALL, 46, zoom=1.01), OTHER, 38)
    flow = watched(opened(half=half), [first, second])[1]
    assert flow.camera_23 is not None
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    # A point x of the wall is at (x - 50) in the first picture and at 1.01 (x - 46) in the second.
    px = corners * SIZE - 0.5
    true = (1.01 * (px + np.array([50 - 46, 0])) + 0.5) / SIZE
    found = corners @ flow.camera_23[:, :2].T + flow.camera_23[:, 2]
    assert np.abs(found - true).max() < off
    assert 0.6 < flow.inliers < 0.98
    assert 0.03 < flow.moving_share < 0.3


def test_without_anything_to_hold_on_to_no_camera_motion_is_claimed() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (128, 192, 3), np.uint8) for _ in range(2)]
    stage = opened()
    stage._cut.is_cut = lambda pixels: False  # type: ignore[method-assign] # as if the view had not changed
    assert watched(stage, noise)[1].camera_23 is None
    soft = np.tile(np.linspace(60, 120, 192).astype(np.uint8)[None, :, None], (128, 1, 3))
    assert watched(opened(), [soft, np.roll(soft, 1, 1)])[1].camera_23 is None


def test_a_frozen_camera_has_no_motion_at_all() -> None:
    flow = watched(opened(), [view(WALL, 50)] * 2)[1]
    assert not flow.backward_HW2.any()
    assert flow.consistent_HW.all()
    assert flow.camera_23 is not None
    assert np.abs(flow.camera_23 - np.eye(3)[:2]).max() < 1e-6
    assert flow.speed == flow.moving_share == 0.0


def test_a_cut_is_said_and_nothing_is_carried_over_it() -> None:
    stage = opened()
    flows = watched(stage, [view(WALL, 50), view(WALL, 52), view(OTHER, 50), view(OTHER, 52)])
    assert [flow.is_cut for flow in flows] == [False, False, True, False]
    assert [one["what"] for one in flows[2].happened] == ["cut"]
    assert flows[2].before is None
    assert not flows[2].consistent_HW.any()
    assert not flows[2].path.steps
    assert flows[3].before is not None
    assert flows[3].before.seq == 2
    assert len(flows[3].path.steps) == 1


def test_a_flash_is_passed_over() -> None:
    white = np.full((128, 192, 3), 255, np.uint8)
    flows = watched(opened(), [view(WALL, 50), view(WALL, 52), white, white * 0, view(WALL, 56)])
    assert [flow.before is None for flow in flows] == [True, False, True, True, False]
    assert flows[4].before is not None
    assert flows[4].before.seq == 1
    assert np.abs(flows[4].backward_HW2[INNER] - (4, 0)).mean() < 0.15
    assert flows[4].path.between(flows[0].stamp.captured_ns, flows[4].stamp.captured_ns) is not None


def test_another_size_source_or_a_long_gap_begins_anew() -> None:
    stage = opened()
    watched(stage, [view(WALL, 50), view(WALL, 52)])
    assert seen(stage, view(WALL, 52, size=(96, 64)), 2).before is None
    assert seen(stage, view(WALL, 52, size=(96, 64)), 3).before is not None
    assert seen(stage, view(WALL, 52, size=(96, 64)), 4, source="another").before is None
    assert seen(stage, view(WALL, 52, size=(96, 64)), 60, source="another").before is None
    stage.reset()
    assert seen(stage, view(WALL, 52, size=(96, 64)), 61, source="another").before is None


def test_half_size_is_taken_from_the_next_picture_on() -> None:
    stage = opened()
    full = watched(stage, [view(WALL, 50), view(WALL, 54)])[1]
    assert full.backward_HW2.shape == (128, 192, 2)
    stage.configure(opened(longest_px=192, half=True)._config)
    flows = watched(stage, [view(WALL, 58), view(WALL, 62)], 2)
    assert flows[0].before is None
    assert flows[1].backward_HW2.shape == (64, 96, 2)
    assert np.abs(flows[1].backward_HW2[8:-8, 8:-8] - (2, 0)).mean() < 0.1
    assert flows[1].camera_23 is not None
    assert flows[1].camera_23[0, 2] == pytest.approx(-4 / 192, abs=0.002)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 400), (400, 3), (33, 47), (191, 127), (1280, 20)])
def test_any_sides_are_taken(size: tuple[int, int]) -> None:
    flows = watched(opened(), [view(WALL, 20 + k, 0, size) for k in range(3)])
    for flow in flows:
        width, height = working_size(size, 640)
        assert flow.backward_HW2.shape == (height, width, 2)
        assert np.isfinite(flow.backward_HW2).all()
        assert flow.size_px == size


def test_a_large_picture_is_worked_on_at_the_size_that_was_set() -> None:
    assert working_size((1920, 1080), 640) == (640, 360)
    assert working_size((1080, 1920), 640) == (360, 640)
    assert working_size((320, 240), 640) == (320, 240)


def test_what_is_told_is_small_and_says_how_the_camera_moves() -> None:
    flow = watched(opened(), [view(WALL, 50), view(WALL, 53)])[1]
    told = flow.told(flow.stamp.captured_ns + 5_000_000)
    assert (told["type"], told["age_ms"], told["span_ms"]) == ("motion", 5.0, 33.3)
    assert told["camera"][0][2] == pytest.approx(-3 / 192, abs=0.001)
    assert len(str(told)) < 500
