"""Boxes: four bends with arms, a thin line of the kind's colour with a dark rim outside.

A line is made of threads one pixel wide, beside each other: OpenCV draws those to 1/16 pixel, and several
times faster than one wide line. So a box that moves slowly glides and does not hop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .colours import INK, Colour
from .strokes import SHIFT, Floats, Pixels, fixed

_OUTWARDS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
_CORNERS = np.array([[0, 1], [2, 1], [2, 3], [0, 3]])
_BEND = np.array([0, *(1 - np.cos(np.linspace(0, np.pi / 2, 3))), 0], np.float32)
_ARM = np.array([0, 0, 0, 0, 1], np.float32)
"""How far in across each point of a corner lies: parts of the radius and of the arm."""


def draw_boxes(
    picture_HW3: Pixels,
    boxes_N4: Floats,
    colours: Sequence[Colour],
    *,
    line_px: float,
    radius_px: float,
    arm_px: float,
) -> None:
    """Draw boxes (left, top, right, bottom, in pixels), in place. They may lie outside the picture."""
    canvas: Any = picture_HW3
    bends = fixed(corners(boxes_N4, radius_px, arm_px))
    threads = max(round(line_px), 1)
    outside_px = [k + 0.5 - threads / 2 for k in range(threads + 1)]
    cv2.polylines(canvas, _moved(bends, outside_px[-1]), False, INK, 1, cv2.LINE_AA, SHIFT)
    for colour in dict.fromkeys(colours):
        mine = bends[[one == colour for one in colours]]
        lines = [line for out in outside_px[:-1] for line in _moved(mine, out)]
        cv2.polylines(canvas, lines, False, colour, 1, cv2.LINE_AA, SHIFT)


def _moved(bends_N4K2: npt.NDArray[np.int32], outside_px: float) -> list[Any]:
    """Return each bend moved away from its box."""
    by = np.rint(_OUTWARDS * (outside_px * (1 << SHIFT))).astype(np.int32)[:, None]
    return list((bends_N4K2 + by).reshape(-1, *bends_N4K2.shape[2:]))


def corners(boxes_N4: Floats, radius_px: float, arm_px: float) -> Floats:
    """Return the four corners of each box as lines with a round bend, (N, 4, K, 2).

    An arm is `arm_px` long, more at a large box and less at one that has no room for it.
    """
    sides = np.minimum(boxes_N4[:, 2] - boxes_N4[:, 0], boxes_N4[:, 3] - boxes_N4[:, 1])[:, None]
    radius = np.minimum(radius_px, 0.3 * sides)
    arm = np.minimum(np.maximum(arm_px, 0.15 * sides), 0.34 * sides)
    across_NK = radius * _BEND + arm * _ARM
    inwards_NK2 = np.stack([across_NK, across_NK[:, ::-1]], axis=2)  # as far down as across, in reverse
    bends = boxes_N4[:, _CORNERS][:, :, None] - _OUTWARDS[:, None] * inwards_NK2[:, None]
    return np.asarray(bends, np.float32)
