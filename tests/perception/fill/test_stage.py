"""Pictures between paintings: where things are now, never a ghost, and honest about what is how old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from perception.fill.config import FillConfig
from perception.fill.stage import FillStage
from perception.fill.warp import Pixels
from realtime.core.clock import NS_PER_MS, ManualClock
from realtime.core.frame import Frame
from realtime.core.planar import PlanarFrame, Planes
from realtime.core.stage import Emitted, StageContext
from tests.perception.flow.views import view, wall, with_thing
from tests.vocabulary import make_stamp

SIZE = (320, 240)
PAINTED_PX = 192
WALL, OTHER = wall(0, (900, 480)), wall(1)
EVERY, LATE = 3, 3
"""A painting is begun at every third picture and there three pictures later."""
INNER = np.s_[24:-24, 24:-24]


def painting(pixels: Pixels) -> Pixels:
    """Return what the painter of these tests makes of a picture: the centred square in other colours."""
    left = (SIZE[0] - SIZE[1]) // 2
    square = pixels[:, left : left + SIZE[1]]
    small: Any = cv2.resize(square, (PAINTED_PX, PAINTED_PX), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1] // 2 + 60)


class Run:
    """Give a stage the pictures of a camera, and paintings of some of them, late."""

    def __init__(self, every: int = EVERY, late: int = LATE, **config: Any) -> None:
        self.every, self.late = every, late
        self.newest: Frame | None = None
        self.clock = ManualClock(0)
        self.stage = FillStage()
        self.stage.configure(FillConfig(**config))
        self.stage.open(StageContext(clock=self.clock, watched={"paint": lambda: self.newest}))
        self.frames: list[Frame] = []

    def show(self, pixels: Pixels) -> list[Emitted]:
        frame = Frame(make_stamp(len(self.frames)), pixels)
        self.frames.append(frame)
        self.clock.advance(ms=frame.stamp.captured_ns / NS_PER_MS - self.clock.now_ns() / NS_PER_MS)
        done = len(self.frames) - 1 - self.late
        if done >= 0 and done % self.every == 0:
            of = self.frames[done]
            self.newest = Frame(of.stamp, painting(of.pixels))
        return list(self.stage.process(frame))

    def film(self, pictures: Sequence[Pixels]) -> list[Emitted]:
        return [one for picture in pictures for one in self.show(picture)]


def pan(k: int) -> Pixels:
    return view(WALL, 40 + 5 * k, size=SIZE)


def off(shown: Pixels, wanted: Pixels, part: Any = INNER) -> float:
    return float(np.abs(shown[part].astype(int) - wanted[part]).mean())


def test_each_camera_picture_is_shown_where_things_are_then() -> None:
    """The camera turns: a picture between paintings is nearly what the painter would have made of it."""
    run = Run()
    shown = run.film([pan(k) for k in range(18)])
    assert [one.stamp.seq for one in shown] == list(range(3, 18))
    assert all(one.value.stamp == one.stamp for one in shown)
    moved = [off(one.value.pixels, painting(pan(one.stamp.seq))) for one in shown]
    held = [off(painting(pan(k - 3)), painting(pan(k))) for k in range(3, 18)]
    assert max(moved) < 0.25 * min(held)
    assert {one.value.pixels.shape for one in shown} == {(PAINTED_PX, PAINTED_PX, 3)}


def test_what_comes_out_behind_a_thing_looks_like_what_is_around_it() -> None:
    """A bright square goes to the right before a dark wall: no bright ghost stays where it was."""
    dark, bright = view(WALL, 50, size=SIZE) // 3, OTHER // 3 + 160
    run = Run(every=3, late=4)
    pictures = [with_thing(dark, bright, 60 + 6 * k, top=80, side=80) for k in range(12)]
    last = run.film(pictures)[-1]
    assert last.stamp.seq == 11
    wanted, left = painting(pictures[11]), round((60 + 66 - 40) * PAINTED_PX / 240)
    come_out = np.s_[70:120, left - 22 : left - 2]
    ghost = off(painting(pictures[6]), wanted, come_out)
    assert ghost > 50
    assert off(last.value.pixels, wanted, come_out) < 0.35 * ghost


def test_after_a_cut_nothing_of_the_old_scene_is_moved_and_time_does_not_run_backwards() -> None:
    run = Run()
    cut = 10
    shown = run.film([pan(k) if k < cut else view(OTHER, 60 + k, size=SIZE) for k in range(20)])
    stamps = [one.stamp.captured_ns for one in shown]
    assert stamps == sorted(set(stamps))
    first = next(one.stamp.seq for one in shown if one.stamp.seq >= cut)
    assert first == 15  # the picture at which the first painting of the new scene, begun at 12, is there
    assert off(shown[-1].value.pixels, painting(view(OTHER, 79, size=SIZE))) < 4


def test_a_white_flash_is_not_painted_over() -> None:
    run = Run()
    white = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    shown = run.film([white if k in (10, 11) else pan(k) for k in range(14)])
    assert [one.stamp.seq for one in shown] == [3, 4, 5, 6, 7, 8, 9, 12, 13]


def test_switched_off_it_gives_each_painting_once_with_its_own_age() -> None:
    run = Run()
    run.film([pan(k) for k in range(12)])
    run.stage.configure(FillConfig(between=False))
    shown = run.film([pan(k) for k in range(12, 30)])
    assert [one.stamp.seq for one in shown] == [12, 15, 18, 21, 24]
    assert all((one.value.pixels == painting(run.frames[one.stamp.seq].pixels)).all() for one in shown)
    run.stage.configure(FillConfig())
    assert [one.stamp.seq for one in run.film([pan(30), pan(31)])] == [30, 31]


def test_figures_say_how_old_the_paint_is_and_count_paintings_apart() -> None:
    run = Run()
    shown = run.film([pan(k) for k in range(60)])
    figures = run.stage.figures()
    assert len(shown) == 57
    assert figures["painted_fps"] == pytest.approx(10, abs=0.7)
    assert figures["paint_age_p50_ms"] == pytest.approx(4 / 30 * 1000, abs=1)
    assert figures["paint_age_p95_ms"] == pytest.approx(5 / 30 * 1000, abs=1)


def test_a_painting_that_is_repeated_under_a_newer_stamp_is_no_newer_paint() -> None:
    """The painter leaves pictures out to keep its limit of age: it gives the last painting again."""
    run = Run()
    run.film([pan(k) for k in range(7)])
    assert run.newest is not None
    run.newest = Frame(run.frames[-1].stamp, run.newest.pixels)
    run.late = 99  # nothing new from here on
    shown = run.film([pan(7), pan(8)])[-1]
    assert off(shown.value.pixels, painting(pan(8))) < 4
    assert run.stage.figures()["painted_fps"] < 11


def test_a_picture_off_a_network_is_seen_without_its_colours_being_worked_out() -> None:
    run, planes = Run(), []
    for k in range(8):
        i420: Any = cv2.cvtColor(pan(k), cv2.COLOR_RGB2YUV_I420)
        planes.append(Planes(i420, lambda i420: pan(0)))
        run.frames.append(PlanarFrame(make_stamp(k), planes[-1]))
        if k == 3:
            run.newest = Frame(make_stamp(0), painting(pan(0)))
        shown = run.stage.process(run.frames[-1])
    assert off(shown[0].value.pixels, painting(pan(7))) < 4
    assert not any(one.is_converted for one in planes)


def test_the_stream_forgotten_no_painting_of_before_is_shown() -> None:
    run = Run()
    run.film([pan(k) for k in range(8)])
    run.stage.reset()
    assert run.stage.process(Frame(make_stamp(8), pan(8))) == ()
