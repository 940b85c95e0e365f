"""The stage that sees: when its detector runs, what it forgets at a cut, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from perception.detect import DetectConfig, DetectStage
from perception.detectors.base import DetectorInfo, Pixels
from perception.scene import Detections, Scene
from realtime.core.clock import NS_PER_S, ManualClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext

INFO = DetectorInfo("red", "Red things", ("square", "cup"), "numpy")


class Red:
    """Find the one red square in a picture, at a cost."""

    info = INFO

    def __init__(self, clock: ManualClock, cost_ms: float) -> None:
        self._clock, self._cost_ms = clock, cost_ms
        self.expected_s: list[float] = []
        self.resets = 0

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        self._clock.advance(ms=self._cost_ms)
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
        rows, columns = np.nonzero(red)
        boxes = np.zeros((0, 4))
        if len(rows):
            sides = np.array(pixels.shape[1::-1] * 2)
            ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            boxes = np.array([ends]) / sides
        count = len(boxes)
        return Detections(
            boxes.astype(np.float32), np.full(count, 0.9, np.float32), np.zeros(count, np.int64), INFO.names
        )

    def expect(self, delay_s: float) -> None:
        self.expected_s.append(delay_s)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None: ...


class Room:
    """A stage that sees, its clock, and a camera before a room with a red square that moves."""

    def __init__(self, cost_ms: float = 20.0, *, is_live: bool = True, **config: Any) -> None:
        self.clock = ManualClock(NS_PER_S)
        self.red = Red(self.clock, cost_ms)
        self.said: list[str] = []
        self.stage = DetectStage(load=lambda *args, **more: self.red)
        self.stage.configure(DetectConfig(**config))
        self.stage.open(StageContext(clock=self.clock, report=self.said.append, is_live=is_live))
        self._seq = 0

    def picture(self, x: float | None, room: int = 0, size: tuple[int, int] = (320, 240)) -> Pixels:
        coarse = np.random.default_rng(room).integers(0, 160, (12, 16, 3), np.uint8)
        pixels: Any = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        if x is not None:
            left, top = round(x * size[0]) - 20, size[1] // 2 - 20
            pixels[top : top + 40, max(left, 0) : left + 40] = (250, 10, 10)
        return pixels

    def see(self, pixels: Pixels) -> list[Scene]:
        """Take a picture that comes now; the next comes a thirtieth of a second after it."""
        begun_ns = self.clock.now_ns()
        stamp = Stamp("camera", self._seq, self._seq, VIDEO_CLOCK, begun_ns)
        self._seq += 1
        given = [one.value for one in self.stage.process(Frame(stamp, pixels))]
        spent_ms = (self.clock.now_ns() - begun_ns) / 1e6
        self.clock.advance(ms=max(1000 / 30 - spent_ms, 0.0))
        return given

    def watch(self, xs: Sequence[float | None], room: int = 0) -> list[list[Scene]]:
        return [self.see(self.picture(x, room)) for x in xs]


def middle(scene: Scene, at_ns: int) -> float:
    box = scene.at(at_ns).xyxy_N4[0]
    return float(box[0] + box[2]) / 2


@pytest.mark.parametrize(("share", "runs"), [(0.15, 7), (0.5, 15), (1.0, 30)])
def test_the_detector_rests_so_that_it_takes_no_more_than_its_share(share: float, runs: int) -> None:
    """In a second: runs of 20 ms, each followed by a rest up to the next picture after 20 / share ms."""
    room = Room(share=share)
    scenes = room.watch([0.5] * 30)
    assert sum(map(len, scenes)) == pytest.approx(runs, abs=1)
    assert sum(map(len, scenes)) * 0.020 <= share + 0.04


def test_where_it_is_not_live_every_picture_is_looked_at() -> None:
    room = Room(share=0.1, is_live=False)
    assert all(room.watch([0.5] * 12))


def test_a_scene_says_where_the_square_is_between_and_after_its_pictures() -> None:
    room = Room(share=0.3)
    xs = [0.2 + 0.01 * k for k in range(40)]
    scenes = [scene for given in room.watch(xs) for scene in given]
    last = scenes[-1]
    assert len(last.at(last.stamp.captured_ns)) == 1
    for later_ms in (0, 33, 100, 150):
        now_ns = last.stamp.captured_ns + later_ms * 1_000_000
        true = 0.2 + 0.01 * (last.stamp.seq + later_ms * 30 / 1000)
        assert middle(last, now_ns) == pytest.approx(true, abs=0.006)
    told = last.told(last.stamp.captured_ns)
    assert told["things"][0]["name"] == "square"
    assert told["things"][0]["velocity"][0] == pytest.approx(0.3, abs=0.03)
    assert told["detector"] == "red"


def test_at_a_cut_what_was_followed_is_forgotten_and_told_of() -> None:
    room = Room(share=1.0)
    before = room.watch([0.5] * 12)[-1][0]
    after = room.watch([0.5] * 12, room=7)
    first = after[0][0]
    assert [one["what"] for one in first.happened] == ["cut"]
    assert room.red.resets == 1
    last = after[-1][0]
    assert set(last.at(last.stamp.captured_ns).ids_N).isdisjoint(before.at(before.stamp.captured_ns).ids_N)
    assert not any(one.happened for given in after[1:] for one in given)


def test_a_size_change_in_mid_stream_is_taken_calmly() -> None:
    room = Room(share=1.0)
    room.watch([0.5] * 10)
    for size in ((480, 240), (160, 120), (321, 241)):
        scene = room.see(room.picture(0.5, size=size))[0]
        assert scene.size_px == size
        for _ in range(5):
            scene = room.see(room.picture(0.5, size=size))[0]
        assert middle(scene, scene.stamp.captured_ns) == pytest.approx(0.5, abs=0.01)


def test_black_pictures_and_a_thing_that_goes_hold_nothing_up() -> None:
    room = Room(share=1.0)
    room.watch([0.5] * 10)
    black = np.zeros((240, 320, 3), np.uint8)
    scenes = [room.see(black)[0] for _ in range(60)]
    assert len(scenes[-1].at(scenes[-1].stamp.captured_ns)) == 0
    assert all(one.happened == () for one in scenes)


def test_it_tells_who_enters_a_zone_and_draws_its_place() -> None:
    room = Room(share=1.0, zones="right: 0.5,0 1,0 1,1 0.5,1 for square")
    scenes = [one for given in room.watch([0.2 + 0.02 * k for k in range(30)]) for one in given]
    told = [one for scene in scenes for one in scene.happened]
    assert [(one["what"], one["zone"]) for one in told] == [("entered", "right")]
    assert scenes[-1].places[0].inside == 1


def test_kinds_leave_others_out_and_unknown_ones_are_named_once() -> None:
    room = Room(share=1.0, kinds="cup, giraffe")
    scenes = [one for given in room.watch([0.5] * 10) for one in given]
    assert len(scenes[-1].at(scenes[-1].stamp.captured_ns)) == 0
    assert room.said == ["giraffe is no kind that Red things can see."]


def test_the_detector_hears_how_late_its_boxes_are() -> None:
    room = Room(cost_ms=50.0, share=1.0)
    room.watch([0.5] * 40)
    # 50 ms of work, then the second picture after the one before, 67 ms later: half of that it is shown.
    assert room.red.expected_s[-1] == pytest.approx(0.050 + 0.033, abs=0.01)


def test_reset_forgets_the_stream() -> None:
    room = Room(share=1.0, zones="all: 0,0 1,0 1,1 0,1", settle_ms=0.0)
    room.watch([0.5] * 10)
    room.stage.reset()
    scene = room.see(room.picture(0.5, room=9))[0]
    assert not any(one["what"] == "cut" for one in scene.happened)
    room.stage.close()
    room.stage.close()
