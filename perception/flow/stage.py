"""The stage that sees motion: the flow between each picture and the one before, and how the camera moved.

It remembers one picture, and what its estimator remembers. A cut, another size and another source begin anew;
a picture that shows nothing, such as a flash, is passed over, so that the next is compared with the last one
that did. Where nobody watches, an estimator that finds several pairs at once is given so many, and what is
told of the pictures waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from .estimator import Estimator, Make, Pixels, Ways, make
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


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Hold a picture of which nothing is told yet."""

    empty: Flow
    """What is told of it where it cannot be compared."""
    now: Before | None = None
    """The picture, where it shows anything."""
    before: Before | None = None
    """What it is compared with, where there is that."""

    @property
    def is_still(self) -> bool:
        """Whether nothing changed, as with a camera that hangs, so that there is no flow to be found."""
        return self.before is not None and self.now is not None and self.now.seen is self.before.seen

    @property
    def is_pair(self) -> bool:
        """Whether the estimator is asked."""
        return self.before is not None and not self.is_still


class FlowStage:
    """Give the motion that leads to each picture."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="flow",
        takes=Frame,
        gives=Flow,
        config=FlowConfig,
        lane="see",
        files=("weights",),
        says="Sees how everything moves from picture to picture, and how the camera does.",
    )

    def __init__(self, make: Make = make) -> None:
        """Take what makes the estimator."""
        self._make = make
        self._config = FlowConfig()
        self._estimator: Estimator | None = None
        self._at_once = 1
        self._cut = CutDetector()
        self._moves = Moves()
        self._before: Before | None = None
        self._waiting: list[Waiting] = []
        self._path = CameraPath()
        self._rest = Rest()

    def open(self, ctx: StageContext) -> None:
        """Get the estimator. Raises ModelError for weights that are not here, EngineError for an engine that
        cannot run them.
        """
        if self._estimator is None:
            self._estimator = self._make(self._config, ctx)
            self._at_once = 1 if ctx.is_live else self._estimator.at_once

    def configure(self, config: FlowConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if self._estimator is None:
            return ()
        if item is None:
            return self._told(self._estimator)
        return self._taken(item, self._estimator)

    def reset(self) -> None:
        """Forget the stream."""
        self._cut.reset()
        self._moves = Moves()
        self._before, self._waiting = None, []
        self._path, self._rest = CameraPath(), Rest()
        if self._estimator is not None:
            self._estimator.reset()

    def close(self) -> None:
        self.reset()
        if self._estimator is not None:
            self._estimator.close()
        self._estimator = None

    def _taken(self, frame: Frame, estimator: Estimator) -> list[Emitted]:
        """Take a picture, and return what can be told now: of it, of those before it, or of none yet."""
        config, before = self._config, self._before
        size_px = (frame.width_px, frame.height_px)
        width, height = working_size(size_px, config.longest_px // (2 if config.half else 1))
        small: Any = frame.pixels
        if (width, height) != size_px:
            small = cv2.resize(frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
        is_cut = self._cut.is_cut(frame.pixels)
        empty = self._empty(frame.stamp, size_px, width, height)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if float(cv2.meanStdDev(grey)[1][0, 0]) < LEAST_CONTRAST:
            return self._with(Waiting(empty), estimator)
        is_same = before is not None and np.array_equal(before.grey_HW, grey)
        seen = before.seen if before is not None and is_same else estimator.seen(small)
        now = self._before = Before(frame.stamp, size_px, grey, seen)
        if before is not None and not is_cut and _may_follow(now, before):
            return self._with(Waiting(empty, now, before), estimator)
        told = self._told(estimator)
        estimator.reset()
        return [*told, *self._with(Waiting(replace(empty, is_cut=is_cut), now), estimator)]

    def _with(self, one: Waiting, estimator: Estimator) -> list[Emitted]:
        self._waiting.append(one)
        pairs = sum(other.is_pair for other in self._waiting)
        return self._told(estimator) if pairs in (0, self._at_once) else []

    def _told(self, estimator: Estimator) -> list[Emitted]:
        """Find the flow of all pairs that wait, and tell of each picture in turn."""
        waiting, self._waiting = self._waiting, []
        seen = [one.now.seen for one in waiting if one.is_pair and one.now is not None]
        first = next((one.before.seen for one in waiting if one.is_pair and one.before is not None), None)
        found = iter(estimator.ways([first, *seen]) if seen else ())
        told = []
        for one in waiting:
            ways = next(found) if one.is_pair else Ways(one.empty.forward_HW2, one.empty.backward_HW2)
            told.append(Emitted(one.empty.stamp, self._flow(one, ways)))
        return told

    def _flow(self, one: Waiting, ways: Ways) -> Flow:
        """Return what is told of a picture, all those before having been told."""
        moves = self._moves
        empty = replace(one.empty, camera_moves=moves.camera.is_on, things_move=moves.things.is_on)
        if one.now is None:
            return replace(empty, path=self._path, rest=self._resting(empty.stamp, None))
        if one.before is not None:
            return self._between(one.before, one.now, empty, ways, is_still=one.is_still)
        self._path, rest = CameraPath(), self._resting(empty.stamp, True if empty.is_cut else None)
        return replace(empty, happened=moves.cut(empty.stamp.captured_ns) if empty.is_cut else (), rest=rest)

    def _empty(self, stamp: Stamp, size_px: tuple[int, int], width: int, height: int) -> Flow:
        """Return what is known of a picture that cannot be compared."""
        nothing, sure = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
        return Flow(stamp, None, size_px, nothing, nothing, sure)

    def _between(self, before: Before, now: Before, empty: Flow, ways: Ways, *, is_still: bool) -> Flow:
        """Return the flow between two pictures of one size."""
        forward, backward = ways
        sure = np.ones_like(empty.consistent_HW) if is_still else consistent(backward, forward)
        height, width = sure.shape
        span_s = (now.stamp.captured_ns - before.stamp.captured_ns) / NS_PER_S
        points = points_of(now.grey_HW, backward, sure)
        in_cells, inliers = common_motion(points)
        camera = None if in_cells is None else in_shares(in_cells, width, height)
        gone_by = points.strays(None)
        enough = np.maximum(self._config.least_speed * height * span_s, LEAST_STRAY + STRAY_SHARE * gone_by)
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
        gone = float(np.median(gone_by)) if len(points) else 0.0
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
