"""What is covered, and how: soft shapes over things, and little left of what is below them.

Shapes hold shares, so that the same ones cover a picture and the maps made of it, at any size. The soft edge
lies outside a shape: all within it is covered wholly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Look = Literal["soft", "mosaic", "plain"]
Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
SHIFT = 4
QUARTER_POINTS = 8
_TURNS = (np.arange(4 * QUARTER_POINTS) + 0.5) * (np.pi / 2 / QUARTER_POINTS)
_SIGNS = np.sign(np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1))
_WAYS = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1) / np.cos(np.pi / 4 / QUARTER_POINTS)
"""A ring of points a little outside of the circle, so that their chords do not cut it."""
GREY = 96
MANY = 40
"""More shapes than this are covered in one go."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Hold one thing that is covered, as shares of the picture."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom of the cover."""
    patch: tuple[float, float]
    """Width and height of what is melted into one colour."""
    bend: tuple[float, float] = (0.0, 0.0)
    """How far each corner is rounded off, across and down: half of each side makes an ellipse."""


def whole(cells: int) -> Shape:
    """Return the shape that covers all of a picture."""
    return Shape((-0.1, -0.1, 1.1, 1.1), (1 / cells, 1 / cells))


def mask_of(shapes: Sequence[Shape], width_px: int, height_px: int, feather_px: int) -> Mask:
    """Return 255 where something is covered, 0 where nothing is, soft between, (H, W)."""
    mask: Any = np.zeros((height_px, width_px), np.uint8)
    for shape in shapes:
        if (found := _part(mask, shape, feather_px)) is not None:
            part, inside = found
            np.maximum(part, inside, out=part)
    return np.asarray(mask, np.uint8)


def cover(array: npt.NDArray[Any], shapes: Sequence[Shape], look: Look, feather_px: int) -> None:
    """Cover a picture (H, W, 3), or a map of it, in place."""
    height, width = array.shape[:2]
    if len(shapes) > MANY:  # one melted picture for all of them, by the largest of their patches
        across, down = (max(sizes) for sizes in zip(*(shape.patch for shape in shapes), strict=True))
        over = np.asarray(mask_of(shapes, width, height, feather_px), np.float32) / np.float32(255)
        array[:] = _mixed(array, melted(array, across * width, down * height, look), over)
        return
    for shape in shapes:
        found = _part(array, shape, feather_px)
        if found is None:
            continue
        part, inside = found
        over = np.asarray(inside, np.float32) / np.float32(255)
        part[:] = _mixed(part, melted(part, shape.patch[0] * width, shape.patch[1] * height, look), over)


def _mixed(part: npt.NDArray[Any], hidden: Any, over_HW: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Return `hidden` where `over_HW` is 1, `part` where it is 0."""
    return np.asarray(cv2.blendLinear(part, hidden, 1 - over_HW, over_HW)).reshape(part.shape)


def melted(part: npt.NDArray[Any], patch_width_px: float, patch_height_px: float, look: Look) -> Any:
    """Return a picture of which only the means of patches are left."""
    if look == "plain":
        return np.full_like(part, GREY if part.dtype == np.uint8 else 0)
    height, width = part.shape[:2]
    across = max(round(width / max(patch_width_px, 1.0)), 1)
    down = max(round(height / max(patch_height_px, 1.0)), 1)
    means: Any = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
    if look == "mosaic":
        return cv2.resize(means, (width, height), interpolation=cv2.INTER_NEAREST)
    wide = cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.blur(wide, (max(width // across, 1), max(height // down, 1)), borderType=cv2.BORDER_REPLICATE)


def rounded(box: npt.NDArray[np.float64], bend: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the border of a box whose corners are quarters of an ellipse, (K, 2)."""
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    bend = np.minimum(bend, half)
    return np.asarray(middle + _SIGNS * (half - bend) + _WAYS * bend, np.float64)


def _part(array: npt.NDArray[Any], shape: Shape, feather_px: int) -> tuple[npt.NDArray[Any], Mask] | None:
    """Return the part of a picture that a shape touches, and how far it is covered there; None if nowhere."""
    height, width = array.shape[:2]
    scale = (width, height, width, height)
    left, top, right, bottom = (share * side for share, side in zip(shape.box, scale, strict=True))
    reach = feather_px + 1
    x0, y0 = (int(max(low - reach, 0)) for low in (left, top))
    x1, y1 = (int(np.ceil(min(high + reach, side))) for high, side in ((right, width), (bottom, height)))
    if x0 >= x1 or y0 >= y1 or right <= left or bottom <= top:
        return None
    room = 2 * feather_px  # what lies outside the picture softens its edge no further
    inside: Any = np.zeros((y1 - y0 + 2 * room, x1 - x0 + 2 * room), np.uint8)
    grown = np.array([left, top, right, bottom]) + np.array([-1, -1, 1, 1]) * (feather_px + 0.5)
    bend = np.array(shape.bend) * (width, height)
    border = rounded(grown, bend + (feather_px + 0.5) * (bend > 0)) - (x0 - room + 0.5, y0 - room + 0.5)
    cv2.fillConvexPoly(inside, np.rint(border * (1 << SHIFT)).astype(np.int32), 255, cv2.LINE_8, SHIFT)
    if feather_px:
        inside = cv2.blur(inside, (2 * feather_px + 1, 2 * feather_px + 1))
    cut = inside[room : room + y1 - y0, room : room + x1 - x0]
    return array[y0:y1, x0:x1], np.asarray(cut, np.uint8)
