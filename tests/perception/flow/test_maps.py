"""Frames get the motion of exactly the frames that are handed on, and none where there is none to be had."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from perception.flow.config import FlowMapsConfig
from perception.flow.maps import FlowMapsStage, small_square
from realtime.core.frame import Frame
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import Emitted, StageContext, StageSpec
from tests.perception.flow.views import view, wall
from tests.vocabulary import PATIENCE_S, make_stamp

SPEED_PX = 2.0
"""What the camera goes to the right by in a picture."""
ROOM = wall(0)


def frame(
    seq: int, x: float | None = None, *, source: str = "camera", size: tuple[int, int] = (192, 128)
) -> Frame:
    left = 40 + SPEED_PX * seq if x is None else x
    return Frame(make_stamp(seq, source), view(ROOM, left, size=size))


def opened(**config: Any) -> FlowMapsStage:
    stage = FlowMapsStage()
    stage.configure(FlowMapsConfig(**config))
    stage.open(StageContext())
    return stage


def given(stage: FlowMapsStage, item: Frame) -> Frame:
    (one,) = stage.process(item)
    assert one.stamp == item.stamp
    assert one.value.pixels is item.pixels
    return one.value  # type: ignore[no-any-return]


def gone_px(one: Frame) -> float:
    """Return how far the middle of a frame was from where it is, in the frame's pixels."""
    flow = one.maps["flow"]
    height, width = flow.shape[:2]
    middle = flow[height // 4 : -height // 4, width // 3 : -width // 3]
    return float(np.median(middle[..., 0])) * (one.width_px / float(width))


@pytest.mark.parametrize(("size", "side_px"), [((192, 128), 192), ((320, 192), 96), ((128, 192), 64)])
def test_motion_leads_to_the_frame_before_however_many_were_left_out(
    size: tuple[int, int], side_px: int
) -> None:
    stage, before = opened(side_px=side_px), None
    for seq in (3, 4, 7, 12):
        one = given(stage, frame(seq, size=size))
        if before is None:
            assert not one.maps
        else:
            assert one.moved_from == before.stamp
            assert gone_px(one) == pytest.approx(SPEED_PX * (seq - before.stamp.seq), abs=0.3)
            height, width = one.maps["flow"].shape[:2]
            assert width / height == pytest.approx(size[0] / size[1], rel=0.02)
            assert one.maps["occlusion"].shape == (height, width)
        before = one


def test_where_pictures_cannot_be_compared_there_are_no_maps() -> None:
    stage = opened()

    def moved(item: Frame) -> bool:
        return bool(given(stage, item).maps)

    black = np.zeros((128, 192, 3), np.uint8)
    assert [moved(frame(seq)) for seq in (0, 1)] == [False, True]
    assert not moved(Frame(make_stamp(2, "camera"), view(wall(9), 40)))  # a cut
    assert moved(Frame(make_stamp(3, "camera"), view(wall(9), 42)))
    assert not moved(Frame(make_stamp(4, "camera"), black))
    assert not moved(frame(5))  # what follows black begins anew
    assert moved(frame(6))
    flash = Frame(make_stamp(7, "camera"), np.minimum(frame(7).pixels.astype(int) * 2, 255).astype(np.uint8))
    assert [moved(flash), moved(frame(8)), moved(frame(9))] == [False, False, True]
    assert [moved(frame(10, size=(192, 160))), moved(frame(11, size=(192, 160)))] == [False, True]
    assert not moved(frame(12, source="file", size=(192, 160)))
    assert not moved(frame(60, source="file", size=(192, 160)))  # more than a second later
    assert moved(frame(61, source="file", size=(192, 160)))
    stage.reset()
    assert not moved(frame(62, source="file", size=(192, 160)))


def test_a_camera_that_hangs_moves_by_nothing_at_all() -> None:
    stage = opened()
    given(stage, frame(0, 50.0))
    one = given(stage, frame(1, 50.0))
    assert not one.maps["flow"].any()
    assert not one.maps["occlusion"][:, 40:-40].any()


def test_what_comes_into_view_was_hidden() -> None:
    stage = opened()
    given(stage, frame(0))
    one = given(stage, frame(1, 40 + 12.0))
    hidden, width = one.maps["occlusion"], one.maps["occlusion"].shape[1]
    square = slice((width - 128) // 2, (width + 128) // 2)
    assert hidden[:, square][:, -8:].mean() > 0.9
    assert hidden[:, square][20:-20, 20:-20].mean() < 0.05
    assert hidden[:, 0].all()  # beside the square nothing is looked for


def test_the_square_is_the_middle_of_the_view() -> None:
    pixels = np.zeros((100, 260, 3), np.uint8)
    pixels[:, 80:180] = 200
    square, view_px = small_square(pixels, 40)
    assert square.shape == (33, 33, 3)
    assert view_px == (86, 33)
    assert square.min() == 200


class Nothing(BaseModel):
    """No settings."""


class Slow:
    """Take frames when the test lets it, as a painter does that is slower than the camera."""

    spec = StageSpec("slow", takes=Frame, gives=Frame, config=Nothing, lane="paint")

    def __init__(self) -> None:
        self.taken: list[Frame] = []
        self.began, self.goes_on = threading.Semaphore(0), threading.Semaphore(0)

    def open(self, ctx: StageContext) -> None: ...

    def configure(self, config: Nothing) -> None: ...

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        self.taken.append(item)
        self.began.release()
        assert self.goes_on.acquire(timeout=PATIENCE_S)
        return (Emitted(item.stamp, item),)

    def reset(self) -> None: ...

    def close(self) -> None: ...


def test_a_painter_slower_than_the_camera_gets_the_motion_between_what_it_painted() -> None:
    motion, slow, lanes = FlowMapsStage(), Slow(), Lanes()
    graph = Graph(
        [
            Node("motion", motion, motion.spec, FlowMapsConfig()),
            Node("slow", slow, slow.spec, Nothing(), "motion"),
        ]
    )
    graph.open(lanes, StageContext())
    seq = 0
    for burst in (1, 4, 2, 3):
        for _ in range(burst):  # the painter is busy with the one before all of these
            graph.put("video", frame(seq))
            seq += 1
        if slow.taken:
            slow.goes_on.release()
        assert slow.began.acquire(timeout=PATIENCE_S)
    slow.goes_on.release(8)
    graph.close()
    lanes.close()
    assert [one.stamp.seq for one in slow.taken] == [0, 4, 6, 9]
    for before, one in zip(slow.taken, slow.taken[1:], strict=False):
        assert one.moved_from == before.stamp
        assert gone_px(one) == pytest.approx(SPEED_PX * (one.stamp.seq - before.stamp.seq), abs=0.4)


def test_further_maps_keep_where_the_motion_leads_to() -> None:
    stage = opened()
    given(stage, frame(0))
    one = given(stage, frame(1)).with_maps(mask=np.zeros((4, 6), np.uint8))
    assert one.moved_from == make_stamp(0, "camera")
    assert set(one.maps) == {"flow", "occlusion", "mask"}
    assert replace(one).moved_from == one.moved_from
