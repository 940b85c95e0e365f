"""Move a painting to a later moment: by the motion between its own camera picture and the present one.

What came into view meanwhile is in no painting. The flow gives it whatever looks alike nearby, which is what
it should be more often than not; where it is not, the camera knows how light it is, and its colours are those
of the paint around. A picture in which little of the other is found again is not moved at all.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perception.flow.check import cells
from perception.flow.value import Field
from perception.scene import shares_kept
from realtime.core.frame import Frame
from realtime.core.planar import PlanarFrame

Pixels = npt.NDArray[np.uint8]
Light = npt.NDArray[np.float32]
COMPARED_PX = 128
"""Side of the pictures that are compared."""
WIDE_PX = 15
"""What is wider than that in them is light and shadow, and is not compared."""
LEAST_LIKENESS = 0.5
"""Correlation of detail below which the motion is not believed: unlike scenes reach 0.2."""
AROUND = 9
"""Cells over which light is averaged: an edge that is a little off is no change of light."""
NOISE_LEVELS = 4.0
MOST_LEVELS = 96.0
SLOPE_PX = 64
SLOPE_NOISE = 4.0
"""Variance in levels squared that says nothing about how a painter renders light."""


def small_grey(frame: Frame, shorter_px: int) -> Pixels:
    """Return a picture in grey, its shorter side at most so long. Its colours are not worked out for that."""
    height, width = frame.height_px, frame.width_px
    if isinstance(frame, PlanarFrame):
        grey: Any = frame.planes.i420[:height]
    else:
        grey = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY)
    scale = shorter_px / min(height, width)
    if scale < 1:
        grey = cv2.resize(grey, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def centre(grey_HW: Pixels, shown_px: tuple[int, int]) -> Pixels:
    """Return the largest centred part of a picture with the ratio of sides of another one (width, height)."""
    height, width = grey_HW.shape
    kept = shares_kept((width, height), shown_px)
    inner = max(round(width * float(kept[0])), 1), max(round(height * float(kept[1])), 1)
    if inner == (width, height):
        return grey_HW
    return np.asarray(cv2.getRectSubPix(grey_HW, inner, ((width - 1) / 2, (height - 1) / 2)), np.uint8)


def followed(picture: npt.NDArray[Any], back_HW2: Field) -> npt.NDArray[Any]:
    """Return a picture of any size after a motion: what is at x now was at x + back(x).

    Beyond an edge is the edge.
    """
    height, width = picture.shape[:2]
    rows, columns = back_HW2.shape[:2]
    if (rows, columns) != (height, width):
        fine: Any = cv2.resize(back_HW2, (width, height), interpolation=cv2.INTER_LINEAR)
        back_HW2 = fine * np.array([width / columns, height / rows], np.float32)
    at: Any = cells(height, width) + back_HW2
    return np.asarray(cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))  # type: ignore[call-overload]


def likeness(one_HW: Pixels, other_HW: Pixels) -> float:
    """Return how alike two pictures of one size are in detail, -1 to 1, whatever the light."""
    return float(cv2.matchTemplate(_detail(one_HW), _detail(other_HW), cv2.TM_CCOEFF_NORMED)[0, 0])


def relit(picture_HW3: Pixels, now_HW: Pixels, expected_HW: Pixels, gain: float) -> Pixels:
    """Return a picture as much lighter as the camera picture is than was expected of it, times a gain."""
    height, width = picture_HW3.shape[:2]
    more: Any = cv2.blur(cv2.subtract(now_HW, expected_HW, dtype=cv2.CV_32F), (AROUND, AROUND))
    more = np.sign(more) * np.clip(np.abs(more) - NOISE_LEVELS, 0, MOST_LEVELS)
    if not more.any():
        return picture_HW3
    levels: Any = cv2.resize(gain * more, (width, height), interpolation=cv2.INTER_LINEAR)
    whole = np.rint(levels).astype(np.int16)
    return np.asarray(cv2.add(picture_HW3, cv2.merge([whole] * 3), dtype=cv2.CV_8U), np.uint8)


def slope(painting_HW3: Pixels, grey_HW: Pixels) -> float:
    """Return how much lighter a painting is where the camera picture is lighter by one, -1 to 1.

    A painter that turns light to dark has less than 0, one that draws lines alone nearly 0.
    """
    size = (SLOPE_PX, SLOPE_PX)
    painted: Any = cv2.resize(painting_HW3, size, interpolation=cv2.INTER_AREA)
    paint = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY).astype(np.float32)
    seen = cv2.resize(grey_HW, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    paint, seen = paint - paint.mean(), seen - seen.mean()
    return float(np.clip((paint * seen).mean() / ((seen * seen).mean() + SLOPE_NOISE), -1, 1))


def _detail(grey_HW: Pixels) -> Light:
    small = cv2.resize(grey_HW, (COMPARED_PX, COMPARED_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(small - cv2.blur(small, (WIDE_PX, WIDE_PX)), np.float32)
