"""Lines and areas on a picture: trails and zones. Places come in pixels, and may lie outside the picture.

A place x of a picture is x times its width; the middle of pixel k is k + 0.5. Lines are drawn to 1/16 pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .colours import INK, Colour

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
SHIFT = 4
SHADES = 8
"""Parts of a trail, each fainter than the next."""
FAR_PX = 16_384.0
"""No line is drawn from further outside."""


def fixed(points: Floats) -> npt.NDArray[np.int32]:
    """Return places in pixels as OpenCV takes them: whole numbers of 1/16 pixel, from the first's middle."""
    at = np.clip(points, -FAR_PX, FAR_PX) - 0.5
    return np.asarray(np.rint(at * (1 << SHIFT)), np.int32)


def draw_line(
    picture_HW3: Pixels, points_K2: Floats, colour: Colour, width_px: float, *, closed: bool = False
) -> None:
    """Draw a line from point to point with a dark rim, in place."""
    canvas: Any = picture_HW3
    placed, inner = [fixed(points_K2)], max(round(width_px), 1)
    cv2.polylines(canvas, placed, closed, INK, inner + 2, cv2.LINE_AA, SHIFT)
    cv2.polylines(canvas, placed, closed, colour, inner, cv2.LINE_AA, SHIFT)


def draw_trail(picture_HW3: Pixels, points_K2: Floats, colour: Colour, width_px: float) -> None:
    """Draw a line that fades towards its first point, in place."""
    if len(points_K2) < 2:
        return
    found = _part(picture_HW3, points_K2, width_px + 2)
    if found is None:
        return
    part, left, top = found
    opacity: Any = np.zeros(part.shape[:2], np.uint8)
    placed = fixed(points_K2 - np.array([left, top], np.float32))
    ends = np.linspace(0, len(placed) - 1, SHADES + 1).round().astype(int)
    for k, (begin, end) in enumerate(pairwise(ends.tolist()), 1):
        level = round(230 * (k / SHADES) ** 1.5)
        cv2.polylines(opacity, [placed[begin : end + 1]], False, level, 1, cv2.LINE_AA, SHIFT)
    if (width := round(width_px)) > 1:  # far faster than lines of that width
        opacity = cv2.dilate(opacity, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    mix(part, colour, opacity)


def draw_area(picture_HW3: Pixels, points_K2: Floats, colour: Colour, opacity: float) -> None:
    """Tint an area, in place."""
    found = _part(picture_HW3, points_K2, 1.0)
    if found is None:
        return
    part, left, top = found
    mask: Any = np.zeros(part.shape[:2], np.uint8)
    placed = fixed(points_K2 - np.array([left, top], np.float32))
    cv2.fillPoly(mask, [placed], round(255 * opacity), cv2.LINE_AA, SHIFT)
    mix(part, colour, mask)


def mix(part_HW3: Pixels, colour: Colour, opacity_HW: Pixels) -> None:
    """Bring a part of a picture nearer to a colour, in place: 255 is all of the way."""
    alpha: Any = cv2.merge([opacity_HW] * 3)
    paint: Any = (*colour, 0)  # a scalar of four
    kept = cv2.multiply(part_HW3, cv2.bitwise_not(alpha), scale=1 / 255)
    added = cv2.multiply(alpha, paint, scale=1 / 255)
    part_HW3[:] = cv2.add(kept, added)


def _part(picture_HW3: Pixels, points_K2: Floats, margin_px: float) -> tuple[Pixels, int, int] | None:
    """Return the part of a picture around points, with its left and top; None where they miss the picture."""
    height, width = picture_HW3.shape[:2]
    low = np.clip(np.floor(points_K2.min(0) - margin_px), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points_K2.max(0) + margin_px), 0, (width, height)).astype(int)
    if (low >= high).any():
        return None
    return picture_HW3[low[1] : high[1], low[0] : high[0]], int(low[0]), int(low[1])


def overlaps(box: Sequence[float], others: Iterable[Sequence[float]]) -> bool:
    """Tell whether a box (left, top, right, bottom) has something in common with one of others."""
    left, top, right, bottom = box
    return any(left < r and l < right and top < b and t < bottom for l, t, r, b in others)  # noqa: E741
