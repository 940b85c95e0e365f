"""Noise is no motion and fine motion no noise: what the painter's filter of still frames learns of flow."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from perception.fill.warp import Pixels
from perception.flow.rest import Rest
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.pace import Given, Pace
from pipelines.diffusion.pictures import square
from pipelines.diffusion.wish import Wish
from realtime.core.clock import ManualClock
from realtime.core.costs import Costs
from realtime.core.frame import Frame
from tests.perception.flow.views import opened, seen, view, wall, watched, with_thing
from tests.vocabulary import make_stamp

SIZE, SIDE = (480, 360), 192
ROOM, OTHER = view(wall(2, (900, 700)), 60, size=SIZE), wall(3)
COUNT = 24


def test_what_moved_is_known_as_far_back_as_all_could_be_compared() -> None:
    rest = Rest()
    assert rest.moved(0) is None
    rest = rest.onward(10, None).onward(20, False)
    assert (rest.moved(5), rest.moved(10), rest.moved(15)) == (None, False, False)
    rest = rest.onward(30, True).onward(40, False)
    assert (rest.moved(20), rest.moved(29), rest.moved(30)) == (True, True, False)
    rest = rest.onward(50, None)  # a flash
    assert (rest.moved(29), rest.moved(40), rest.moved(50)) == (True, None, False)


def test_a_cut_moves_all_and_a_stream_that_ended_says_nothing() -> None:
    stage = opened(half=True)
    before = watched(stage, [ROOM, ROOM])[-1]
    assert before.moved(0) is False
    assert seen(stage, OTHER[:360, :480], 2).moved(before.stamp.captured_ns) is True
    stage.reset()
    assert seen(stage, ROOM, 3).moved(0) is None


def noisy(picture: Pixels, sigma: float, seed: int) -> Pixels:
    draw = np.random.default_rng(seed).standard_normal(picture.shape, np.float32)
    return np.clip(np.rint(picture + sigma * draw), 0, 255).astype(np.uint8)


def skipped(picture_at: Callable[[int], Pixels], *, is_watching: bool) -> int:
    """Return how many of the frames after the first are shown again rather than painted."""
    painter: Any = SimpleNamespace(costs=Costs())
    pace, flow = Pace(painter, ManualClock()), opened(half=True)
    config = PaintConfig(skip_still=True, max_skips=1000, still_motion=is_watching)
    given, count = Given(0, None, Wish(1, 0.5), None), 0
    for k in range(COUNT):
        pixels = picture_at(k)
        newest = seen(flow, pixels, k)
        frame = Frame(make_stamp(k, "camera"), pixels)
        count += pace.is_still(frame, square(pixels, SIDE), given, config, newest)
    return count


def test_strong_noise_before_a_still_scene_is_not_painted() -> None:
    def at(k: int) -> Pixels:
        return noisy(ROOM, 24, k)

    assert skipped(at, is_watching=False) < 0.35 * COUNT
    assert skipped(at, is_watching=True) > 0.6 * COUNT


def test_a_small_thing_that_moves_in_the_same_noise_is_painted() -> None:
    def at(k: int) -> Pixels:
        return noisy(with_thing(ROOM, OTHER // 2 + 120, 120 + 3 * k, top=150, side=48), 24, k)

    assert skipped(at, is_watching=True) < 0.25 * COUNT


def test_a_fine_pattern_that_goes_by_is_painted_though_no_patch_of_it_changes() -> None:
    grain = np.random.default_rng(0).integers(0, 2, (360, 900), np.uint8) * 24
    weave = cv2.blur(np.repeat(grain[..., None], 3, axis=2), (2, 2)) + 100

    def at(k: int) -> Pixels:
        return np.ascontiguousarray(weave[:, 2 * k : 2 * k + 480])

    assert skipped(at, is_watching=True) == 0
    assert skipped(at, is_watching=False) > 0.25 * COUNT


@pytest.mark.parametrize("late", [0, 9])
def test_motion_that_was_seen_too_long_ago_does_not_count(late: int) -> None:
    painter: Any = SimpleNamespace(costs=Costs())
    pace, flow = Pace(painter, ManualClock()), opened(half=True)
    newest = watched(flow, [view(OTHER, 50), view(OTHER, 58)])[-1]
    stamp = make_stamp(1 + late, "camera")
    assert pace._moved(stamp, newest) is (None if late else True)
    assert pace._moved(make_stamp(1, "another"), newest) is None
