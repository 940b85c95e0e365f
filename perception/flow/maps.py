"""The stage that gives a painter the motion of its pictures: it passes each on with maps of its motion.

It stands before the painter in the painter's own lane. So it sees the pictures that will be painted and no
others, and the motion that it finds leads from one to the next however many the camera made in between. The
picture that the maps lead to is named, so that who loses one notices, and can go on over both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from perception.cut import LEAST_CONTRAST, CutDetector
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import Emitted, StageContext, StageSpec

from .check import consistent
from .config import FlowMapsConfig
from .dis import Dis
from .estimator import Pixels
from .stage import FARTHEST_S, LEAST_SIDE_PX

BRIGHTER = 1.25
"""By which ratio of their means one picture is taken for a flash before or after the other."""
DARK_LEVELS = 8.0
"""Added to both means: among dark pictures a ratio says little."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    stamp: Stamp
    view_px: tuple[int, int]
    """Width and height of the whole view, made smaller."""
    grey_HW: Pixels
    level: float
    """Mean grey level."""


class FlowMapsStage:
    """Put the maps "flow" and "occlusion" beside each picture that can be compared with the one before."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="flow-maps",
        takes=Frame,
        gives=Frame,
        config=FlowMapsConfig,
        lane="paint",
        says="Finds how the picture moves and passes it on with that, so that what is painted moves along.",
    )

    def __init__(self) -> None:
        self._config = FlowMapsConfig()
        self._dis: Dis | None = None
        self._cut = CutDetector()
        self._before: _Seen | None = None

    def open(self, ctx: StageContext) -> None:
        if self._dis is None:
            self._dis = Dis(self._config.method)

    def configure(self, config: FlowMapsConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None or self._dis is None:
            return ()
        return (Emitted(item.stamp, self._moved(item, self._dis)),)

    def reset(self) -> None:
        """Forget the stream."""
        self._cut.reset()
        self._before = None

    def close(self) -> None:
        self.reset()
        self._dis = None

    def _moved(self, frame: Frame, dis: Dis) -> Frame:
        """Return the frame with its motion; as it came where there is nothing to compare it with."""
        small, view_px = small_square(frame.pixels, self._config.side_px)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        mean, spread = cv2.meanStdDev(grey)
        is_cut = self._cut.is_cut(frame.pixels)
        if len(small) < LEAST_SIDE_PX or float(spread[0, 0]) < LEAST_CONTRAST:
            self._before = None  # a flash, or black: what comes after it begins anew
            return frame
        now = _Seen(frame.stamp, view_px, grey, float(mean[0, 0]))
        before, self._before = self._before, now
        if is_cut or before is None or not _may_follow(now, before):
            return frame
        flow_HW2 = np.zeros((*grey.shape, 2), np.float32)
        hidden_HW = np.zeros(grey.shape, np.float32)
        if not np.array_equal(before.grey_HW, grey):  # else a camera that hangs, or a still
            flow_HW2 = dis.flow(now.grey_HW, before.grey_HW)
            forward_HW2 = dis.flow(before.grey_HW, now.grey_HW)
            hidden_HW = np.asarray(~consistent(flow_HW2, forward_HW2), np.float32)
        flow, occlusion = in_view(flow_HW2, view_px, 0.0), in_view(hidden_HW, view_px, 1.0)
        return frame.with_motion(before.stamp, flow=flow, occlusion=occlusion)


def small_square(pixels: Pixels, side_px: int) -> tuple[Pixels, tuple[int, int]]:
    """Return the square in the middle of a picture, a whole number of times smaller, `side_px` at most.

    With it comes the size of the whole view made smaller as often, width and height.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    times = -(-short // side_px)
    side = short // times
    top, left = (height - short) // 2, (width - short) // 2
    square = pixels[top : top + side * times, left : left + side * times]
    if times > 1:
        square = np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    across = max(round(side * width / short), side), max(round(side * height / short), side)
    return square, across


def in_view(map_SSn: Any, view_px: tuple[int, int], beside: float) -> Any:
    """Return a map of the square as one of the whole view, which is `beside` all around it."""
    width, height = view_px
    side = len(map_SSn)
    whole = np.full((height, width, *map_SSn.shape[2:]), beside, np.float32)
    top, left = (height - side) // 2, (width - side) // 2
    whole[top : top + side, left : left + side] = map_SSn
    return whole


def _may_follow(now: _Seen, before: _Seen) -> bool:
    gap_s = (now.stamp.captured_ns - before.stamp.captured_ns) / NS_PER_S
    levels = sorted((now.level + DARK_LEVELS, before.level + DARK_LEVELS))
    return (
        now.stamp.source == before.stamp.source
        and now.view_px == before.view_px
        and now.grey_HW.shape == before.grey_HW.shape
        and 0 <= gap_s <= FARTHEST_S
        and levels[1] < BRIGHTER * levels[0]
    )
