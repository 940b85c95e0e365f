"""A camera that turns while the detector is late: boxes stay on their things where motion is seen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from perception.detect import DetectConfig, DetectStage
from perception.flow.config import FlowConfig
from perception.flow.stage import FlowStage
from perception.flow.value import Flow
from perception.scene import Scene
from realtime.core.clock import NS_PER_S, ManualClock
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests.perception.flow.views import wall
from tests.perception.test_detect import Red
from tests.vocabulary import make_stamp

SIZE = (320, 240)
ROOM: Any = wall(3, (1400, 480)) // 2
"""Dark, so that nothing but the squares is red."""
SQUARE = (620, 170)
"""Left upper corner in the room; 40 px wide. It never moves."""


def pan(k: int) -> float:
    """Return where the camera looks at picture `k`: it swings, as a hand does, up to 9 px a picture."""
    return 480 + 60 * float(np.sin(0.15 * k)) + 15 * float(np.sin(0.41 * k))


def picture(k: int) -> np.ndarray:
    room = ROOM.copy()
    x, y = SQUARE
    room[y : y + 40, x : x + 40] = (250, 10, 10)
    matrix = np.array([[1.0, 0.0, pan(k)], [0.0, 1.0, 80.0]])
    return np.asarray(
        cv2.warpAffine(room, matrix, SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8
    )


class Watching:
    """Run flow and a detector as their lane does: one after the other, the detector now and then."""

    def __init__(self, every: int, *, is_watching: bool, skipped: tuple[int, ...] = ()) -> None:
        self._every, self._skipped = every, skipped
        self.clock = ManualClock(NS_PER_S)
        self.flow = FlowStage()
        self.flow.configure(FlowConfig())
        self.flow.open(StageContext())
        self.newest: Flow | None = None
        self.detect = DetectStage(load=lambda *args, **more: Red(self.clock, 0.0))
        self.detect.configure(DetectConfig(share=1.0))
        watched = {"flow": lambda: self.newest} if is_watching else {}
        self.detect.open(StageContext(clock=self.clock, watched=watched))

    def scenes(self, count: int) -> list[Scene]:
        """Return the scenes of every so many pictures."""
        found = []
        for k in range(count):
            frame = Frame(make_stamp(k, captured_ns=NS_PER_S + round(k * NS_PER_S / 30)), picture(k))
            if k not in self._skipped:
                (one,) = self.flow.process(frame)
                self.newest = one.value
            if k % self._every == 0:
                (given,) = self.detect.process(frame)
                found.append(given.value)
        return found


def misses(scenes: list[Scene], late: int) -> list[float]:
    """Return how far boxes lie from the square `late` pictures after theirs, in px, once all is settled."""
    found = []
    for scene in scenes[6:]:
        k = scene.stamp.seq + late
        things = scene.at(NS_PER_S + round(k * NS_PER_S / 30))
        true = SQUARE[0] + 20 - pan(k)
        best = int(things.scores_N.argmax())
        found.append(abs(float(things.xyxy_N4[best, [0, 2]].mean()) * SIZE[0] - true))
    return found


def ids(scenes: list[Scene]) -> set[int]:
    return {int(one) for scene in scenes for one in scene.at(scene.stamp.captured_ns).ids_N}


def test_boxes_stay_on_their_things_while_the_camera_swings() -> None:
    """Seen at every third picture and shown two pictures later."""
    blind = Watching(3, is_watching=False).scenes(75)
    seeing = Watching(3, is_watching=True).scenes(75)
    without, with_flow = float(np.mean(misses(blind, 2))), float(np.mean(misses(seeing, 2)))
    assert with_flow < 0.7 * without, (with_flow, without)
    assert len(ids(seeing)) == 1


def test_a_thing_seen_seldom_keeps_its_number_while_the_camera_swings() -> None:
    assert len(ids(Watching(6, is_watching=False).scenes(75))) > 1
    assert len(ids(Watching(6, is_watching=True).scenes(75))) == 1


def test_the_motion_is_that_between_the_pictures_that_the_detector_ran_on() -> None:
    watching = Watching(4, is_watching=True)
    cameras: list[Any] = []
    update = watching.detect._tracker.update

    def noted(*args: Any, camera: Any = None, **more: Any) -> Any:
        cameras.append(camera)
        return update(*args, camera=camera, **more)

    watching.detect._tracker.update = noted  # type: ignore[method-assign]
    watching.scenes(21)
    assert cameras[0] is None
    for n, camera in enumerate(cameras[1:], 1):
        expected = (pan(4 * n - 4) - pan(4 * n)) / SIZE[0]
        assert camera[0, 2] == pytest.approx(expected, abs=0.004)


def test_what_flow_has_not_seen_wholly_is_not_used() -> None:
    """The newest flow is older than the detector's picture, once: nothing is guessed for it."""
    watching = Watching(4, is_watching=True, skipped=(12,))
    cameras: list[Any] = []
    update = watching.detect._tracker.update

    def noted(*args: Any, camera: Any = None, **more: Any) -> Any:
        cameras.append(camera)
        return update(*args, camera=camera, **more)

    watching.detect._tracker.update = noted  # type: ignore[method-assign]
    watching.scenes(21)
    assert [camera is None for camera in cameras] == [True, False, False, True, False, False]


def test_a_cut_that_flow_tells_of_is_not_told_twice() -> None:
    told = {}
    for is_watching in (True, False):
        watching = Watching(1, is_watching=is_watching)
        watching.scenes(4)
        other = wall(9, SIZE)
        (given,) = watching.detect.process(Frame(make_stamp(4, captured_ns=2 * NS_PER_S), other))
        told[is_watching] = [one["what"] for one in given.value.happened]
    assert told == {True: [], False: ["cut"]}
