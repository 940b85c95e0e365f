"""The benchmark of seeing, in small: forecasting is worth thirty points, and costs nothing at no delay."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _see_clip as clip
from benchmarks._see_kalman import OfficialKalman
from benchmarks._see_streams import WAYS, Stream, ran
from perception.metrics.sap import streaming_ap
from perception.metrics.world import World, WorldSettings, detections
from perception.scene import Detections

SETTINGS = WorldSettings(sequences=1, frames=70)


@pytest.fixture(scope="module")
def world() -> World:
    return World(21, SETTINGS)


def judged(world: World, way: str, cost_frames: float) -> float:
    done = ran(SETTINGS.frames, SETTINGS.fps, cost_frames)
    stream = Stream(SETTINGS.fps, SETTINGS.frames, SETTINGS.size_px, done, partial(detections, world, 0))
    return streaming_ap(world.annotations(), {0: WAYS[way](stream) or []}, SETTINGS.fps).ap


def test_rolling_forward_is_worth_thirty_points_at_one_and_a_half_frames(world: World) -> None:
    ours = judged(world, "ours", 1.5)
    assert ours > judged(world, "hold", 1.5) + 30
    assert ours > judged(world, "kalman", 1.5)
    assert ours > 67.4


def test_at_no_cost_nothing_is_worse_than_what_was_said(world: World) -> None:
    assert judged(world, "ours", 0.0) >= judged(world, "hold", 0.0)


def test_a_detector_so_slow_that_it_says_little_is_still_helped(world: World) -> None:
    assert judged(world, "ours", 4.0) > judged(world, "hold", 4.0) + 25


def test_the_baseline_s_sums_agree_with_those_done_by_hand() -> None:
    """Two sights of one box, a frame apart, 3 px to the right."""
    follower = OfficialKalman((1000, 1000))
    for frame in range(2):
        box = np.array([[0.1 + 0.003 * frame, 0.1, 0.2 + 0.003 * frame, 0.2]], np.float32)
        one = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("a",))
        follower.update(one, frame)
    spread = 100 + 100 + 1  # of place, of velocity times a frame, of what is added
    gain, gain_of_velocity = spread / (spread + 10), 100 / (spread + 10)
    left = 100 + 3 * gain + 2 * 3 * gain_of_velocity
    boxes, scores, kinds = follower.at(3)
    assert boxes[0] == pytest.approx([left, 100, left + 100, 200], abs=1e-3)
    assert (scores.tolist(), kinds.tolist()) == ([1.0], [0])


def test_the_clip_shows_what_its_boxes_say(tmp_path: Path) -> None:
    """The face's skin lies in its box, and the box goes where the encoded pictures go."""
    clip.encode(tmp_path / "clip.mp4", "person", 12)
    pictures = clip.decode(tmp_path / "clip.mp4")
    assert len(pictures) == 12
    assert pictures[0].shape == (clip.SIZE_PX[1], clip.SIZE_PX[0], 3)
    first = None
    for k in (0, 11):
        left, top, right, bottom = clip.SWINGS["person"][0].box("face", k)
        face = pictures[k][round(top) : round(bottom), round(left) : round(right)].mean(axis=(0, 1))
        first = face if first is None else first
        assert face == pytest.approx(first, abs=6)
        assert face[0] > face[2] + 25  # skin is redder than gravel
    truth = clip.truth("person", 12)
    assert len(truth["annotations"]) == 24
    moved = np.array(truth["annotations"][22]["bbox"]) - np.array(truth["annotations"][0]["bbox"])
    assert np.abs(moved[:2]).max() > 20
