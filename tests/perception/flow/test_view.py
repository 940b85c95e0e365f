"""Motion on pictures: the wheel's known colours, and arrows that point where things go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perception.flow.config import FlowViewConfig
from perception.flow.value import Flow
from perception.flow.view import FlowViewStage
from perception.flow.wheel import DARKER, colours_of, wheel_K3
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests.vocabulary import make_stamp

GREY = np.full((96, 128, 3), 100, np.uint8)


class Node:
    """Be a node that is watched."""

    def __init__(self, flow: Flow | None) -> None:
        self.newest = flow

    def __call__(self) -> Flow | None:
        return self.newest


def moving(
    way: tuple[float, float], seq: int = 1, size_px: tuple[int, int] = (128, 96), grid: int = 1
) -> Flow:
    """Return the flow of a picture in which everything went `way`, in px, since the one before."""
    width, height = size_px[0] // grid, size_px[1] // grid
    backward = np.tile(-np.array(way, np.float32) / grid, (height, width, 1))
    return Flow(
        make_stamp(seq), make_stamp(seq - 1), size_px, -backward, backward, np.ones((height, width), bool)
    )


def stage_of(flow: Flow | None, **config: Any) -> FlowViewStage:
    stage = FlowViewStage()
    stage.configure(FlowViewConfig(**config))
    stage.open(StageContext(watched={"flow": Node(flow)}))
    return stage


def shown(flow: Flow | None, pixels: Any = GREY, seq: int = 1, **config: Any) -> np.ndarray:
    frame = Frame(make_stamp(seq), pixels.copy())
    (out,) = stage_of(flow, **config).process(frame)
    assert out.stamp is frame.stamp
    return np.asarray(out.value.pixels)


def test_the_wheel_has_the_hues_of_the_paper() -> None:
    hues = wheel_K3()
    assert len(hues) == 55
    for at, colour in (
        (0, (1, 0, 0)),
        (15, (1, 1, 0)),
        (21, (0, 1, 0)),
        (25, (0, 1, 1)),
        (36, (0, 0, 1)),
        (49, (1, 0, 1)),
    ):
        assert hues[at].tolist() == list(colour)
    assert hues[20] == pytest.approx([1 / 6, 1, 0])


def test_known_ways_have_known_colours() -> None:
    ways = np.array([[[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [0.5, 0], [2, 0]]], np.float32)
    white, right, left, down, up, slow, fast = colours_of(ways, 1.0)[0].astype(int)
    assert white.tolist() == [255, 255, 255]
    assert right.tolist() == [255, 0, 0]
    assert left.tolist() == pytest.approx([0, 197, 255], abs=1)  # 27.5 of 55: from cyan 2.5/11 to blue
    assert down.tolist() == pytest.approx([255, 234, 0], abs=1)  # 13.75: nearly yellow
    assert up.tolist() == pytest.approx([103, 0, 255], abs=1)  # 41.25: from blue 5.25/13 to magenta
    assert slow.tolist() == pytest.approx([255, 128, 128], abs=1)
    assert fast.tolist() == pytest.approx([255 * DARKER, 0, 0], abs=1)


def test_what_rests_stays_as_it_is_and_what_moves_is_coloured() -> None:
    flow = moving((6.4, 0.0))  # 2 heights a second
    flow.backward_HW2[:, :64] = 0
    out = shown(flow, arrows=False, wheel=1.0, fastest=2.0).astype(int)
    assert (out[:, :60] == 100).all()
    assert np.abs(out[:, 70:] - (255, 0, 0)).max() <= 2


def test_an_arrow_points_from_where_it_was_to_where_it_goes() -> None:
    """All goes 3.2 px a picture, 1 height a second, to the right: in 100 ms an arrow is 9.6 px long."""
    out = shown(moving((3.2, 0.0)), wheel=0.0, arrows_down=4, arrow_ms=100.0)
    bright = out.min(-1) > 180
    rows, columns = np.nonzero(bright[0:24, 0:24])  # the first arrow's foot is at (12, 12)
    assert columns.min() >= 11
    assert columns.max() == pytest.approx(12 + 9.6, abs=1.1)
    assert rows.mean() == pytest.approx(11.5, abs=0.6)
    tall = [np.ptp(np.nonzero(bright[0:24, x])[0]) if bright[0:24, x].any() else 0 for x in range(24)]
    assert int(np.argmax(tall)) > 15  # barbs are at the tip


def test_what_is_not_sure_is_only_drawn_where_that_is_asked_for() -> None:
    flow = replace(moving((6.4, 0.0)), consistent_HW=np.zeros((96, 128), bool))
    assert (shown(flow) == 100).all()
    assert (shown(flow, unsure=True) != 100).any()


def test_against_the_camera_only_what_moves_of_itself_is_drawn() -> None:
    flow = replace(moving((6.4, 0.0)), camera_23=np.array([[1.0, 0.0, 6.4 / 128], [0.0, 1.0, 0.0]]))
    flow.backward_HW2[20:60, 20:60] = 0
    out = shown(flow, against_camera=True, arrows=False).astype(int)
    assert np.abs(out[:, 70:] - 100).max() <= 1
    assert np.abs(out[25:55, 25:55] - 100).mean() > 20


def test_motion_too_old_of_another_source_or_none_leaves_the_frame_alone() -> None:
    for flow in (None, moving((6.4, 0.0)), replace(moving((6.4, 0.0)), before=None)):
        frame = Frame(make_stamp(20), GREY.copy())
        (out,) = stage_of(flow, stale_ms=100.0).process(frame)
        assert out.value is frame
    other = Frame(make_stamp(1, "another"), GREY.copy())
    (out,) = stage_of(moving((6.4, 0.0))).process(other)
    assert out.value is other


def test_a_coarse_grid_and_the_painted_square_show_the_same_speed() -> None:
    """The square in the middle of a picture, at another size: still the same motion in its heights."""
    colours = {
        "whole": shown(moving((3.2, 0.0)), wheel=1.0, arrows=False, fastest=1.0),
        "coarse": shown(moving((3.2, 0.0), grid=4), wheel=1.0, arrows=False, fastest=1.0),
        "square": shown(
            moving((3.2, 0.0)), np.full((64, 64, 3), 100, np.uint8), wheel=1.0, arrows=False, fastest=1.0
        ),
    }
    for name, out in colours.items():
        assert out.reshape(-1, 3).mean(0) == pytest.approx([255, 0, 0], abs=3), name
