"""The stage that sees motion: the flow between each picture and the one before, and how the camera moved.

It remembers one picture. A cut, another size and another source begin anew; a picture that shows nothing,
such as a flash, is passed over, so that the next is compared with the last one that did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import cv2
import numpy as np

from perception.cut import LEAST_CONTRAST, CutDetector
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import Emitted, StageContext, StageSpec

from .camera import common_motion, in_shares, points_of, speed_of
from .check import consistent
from .config import FlowConfig
from .dis import Dis, Estimator, Pixels
from .moves import Moves
from .path import CameraPath
from .rest import LEAST_SHARE, LEAST_WAY, Rest
from .value import Flow

LEAST_SIDE_PX = 32
"""Smaller pictures, and very long ones, are stretched to that."""
FARTHEST_S = 1.0
"""Pictures further apart are not compared."""
LEAST_STRAY, STRAY_SHARE = 0.75, 0.1
"""Cells, and share of its way, by which a point must stray from the camera's motion to move of itself,
however short the time: so far flow may err."""


@dataclass(frozen=True, slots=True, eq=False)
class Before:
    """Hold what is remembered of a picture."""

    stamp: Stamp
    size_px: tuple[int, int]
    grey_HW: Pixels
    seen: Any
    """What the estimator made of it."""


class FlowStage:
    """Give the motion that leads to each picture."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="flow",
        takes=Frame,
        gives=Flow,
        config=FlowConfig,
        lane="see",
        says="Sees how everything moves from picture to picture, and how the camera does.",
    )

    def __init__(self, make: Callable[[str], Estimator] = Dis) -> None:
        """Take what makes the estimator of a name."""
        self._make = make
        self._config = FlowConfig()
        self._estimator: Estimator | None = None
        self._cut = CutDetector()
        self._moves = Moves()
        self._before: Before | None = None
        self._path = CameraPath()
        self._rest = Rest()

    def open(self, ctx: StageContext) -> None:
        if self._estimator is None:
            self._estimator = self._make(self._config.method)

    def configure(self, config: FlowConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None or self._estimator is None:
            return ()
        return (Emitted(item.stamp, self._flow(item, self._estimator)),)

    def reset(self) -> None:
        """Forget the stream."""
        self._cut.reset()
        self._moves = Moves()
        self._before, self._path, self._rest = None, CameraPath(), Rest()

    def close(self) -> None:
        self.reset()
        self._estimator = None

    def _flow(self, frame: Frame, estimator: Estimator) -> Flow:
        config = self._config
        size_px = (frame.width_px, frame.height_px)
        width, height = working_size(size_px, config.longest_px // (2 if config.half else 1))
        small: Any = frame.pixels
        if (width, height) != size_px:
            small = cv2.resize(frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
        is_cut = self._cut.is_cut(frame.pixels)
        empty = self._empty(frame.stamp, size_px, width, height)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if float(cv2.meanStdDev(grey)[1][0, 0]) < LEAST_CONTRAST:
            return replace(empty, path=self._path, rest=self._resting(frame.stamp, None))
        before = self._before
        now = Before(frame.stamp, size_px, grey, estimator.seen(small))
        self._before = now
        if is_cut:
            self._path = CameraPath()
            happened, rest = self._moves.cut(frame.stamp.captured_ns), self._resting(frame.stamp, True)
            return replace(empty, is_cut=True, happened=happened, rest=rest)
        if before is None or not _may_follow(now, before):
            self._path = CameraPath()
            return replace(empty, rest=self._resting(frame.stamp, None))
        return self._between(before, now, empty, estimator)

    def _empty(self, stamp: Stamp, size_px: tuple[int, int], width: int, height: int) -> Flow:
        """Return what is known of a picture that cannot be compared."""
        nothing, sure = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
        camera_moves, things_move = self._moves.camera.is_on, self._moves.things.is_on
        return Flow(
            stamp, None, size_px, nothing, nothing, sure, camera_moves=camera_moves, things_move=things_move
        )

    def _between(self, before: Before, now: Before, empty: Flow, estimator: Estimator) -> Flow:
        """Return the flow between two pictures of one size."""
        if np.array_equal(before.grey_HW, now.grey_HW):  # a camera that hangs, or a still
            forward, backward = empty.forward_HW2, empty.backward_HW2
            sure = np.ones_like(empty.consistent_HW)
        else:
            forward = estimator.flow(before.seen, now.seen)
            backward = estimator.flow(now.seen, before.seen)
            sure = consistent(backward, forward)
        height, width = sure.shape
        span_s = (now.stamp.captured_ns - before.stamp.captured_ns) / NS_PER_S
        points = points_of(now.grey_HW, backward, sure)
        in_cells, inliers = common_motion(points)
        camera = None if in_cells is None else in_shares(in_cells, width, height)
        ways = points.strays(None)
        enough = np.maximum(self._config.least_speed * height * span_s, LEAST_STRAY + STRAY_SHARE * ways)
        moving = float((points.strays(in_cells) > enough).mean()) if len(points) else 0.0
        aspect = now.size_px[0] / now.size_px[1]
        self._path = self._path.onward(before.stamp.captured_ns, now.stamp.captured_ns, camera)
        happened = self._moves.update(
            now.stamp.captured_ns,
            None if camera is None else speed_of(camera, aspect, span_s),
            moving,
            self._config.least_speed,
            self._config.least_share,
        )
        gone = float(np.median(ways)) if len(points) else 0.0
        return Flow(
            now.stamp,
            before.stamp,
            now.size_px,
            forward,
            backward,
            sure,
            camera,
            inliers,
            gone / height / span_s if span_s > 0 else 0.0,
            moving,
            False,
            self._moves.camera.is_on,
            self._moves.things.is_on,
            happened,
            self._path,
            self._resting(now.stamp, gone >= LEAST_WAY or moving >= LEAST_SHARE),
        )

    def _resting(self, stamp: Stamp, moved: bool | None) -> Rest:
        self._rest = self._rest.onward(stamp.captured_ns, moved)
        return self._rest


def working_size(size_px: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """Return width and height of the picture that is worked on: not enlarged, unless a side is too short."""
    scale = min(1.0, longest_px / max(size_px))
    return max(round(size_px[0] * scale), LEAST_SIDE_PX), max(round(size_px[1] * scale), LEAST_SIDE_PX)


def _may_follow(now: Before, before: Before) -> bool:
    gap_s = (now.stamp.captured_ns - before.stamp.captured_ns) / NS_PER_S
    return (
        now.stamp.source == before.stamp.source
        and now.size_px == before.size_px
        and now.grey_HW.shape == before.grey_HW.shape
        and 0 <= gap_s <= FARTHEST_S
    )
