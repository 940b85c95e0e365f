"""Arrows on a picture that show where things go."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perception.overlay.colours import INK, PAPER
from perception.overlay.strokes import fixed

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
LEAST_PX = 3.0
"""A shorter arrow is not drawn."""
LONGEST = 0.25
"""Of the picture's height."""
BARB = 0.35
"""Length of a barb, as a share of the arrow's."""
BARB_PX = 7.0
_SPREAD = 0.5
"""Half the angle between the barbs, radians."""


def draw_arrows(picture_HW3: Pixels, feet_N2: Floats, ways_N2: Floats, line_px: int) -> None:
    """Draw arrows from `feet`, in pixels, along `ways`, in place; too short ones are left out."""
    lengths = np.linalg.norm(ways_N2, axis=1)
    seen = lengths >= LEAST_PX
    feet, ways, lengths = feet_N2[seen], ways_N2[seen], lengths[seen, None]
    if not len(feet):
        return
    longest = LONGEST * picture_HW3.shape[0]
    ways = ways * np.minimum(1.0, longest / lengths)
    lengths = np.minimum(lengths, longest)
    tips = feet + ways
    back = -ways / lengths * np.minimum(BARB * lengths, BARB_PX)
    c, s = np.cos(_SPREAD), np.sin(_SPREAD)
    left, right = back @ np.array([[c, s], [-s, c]]), back @ np.array([[c, -s], [s, c]])
    strokes = np.stack([feet, tips, tips + left, tips, tips + right], axis=1).astype(np.float32)
    canvas: Any = picture_HW3
    placed = [fixed(one) for one in strokes]
    cv2.polylines(canvas, placed, False, INK, line_px + 2, cv2.LINE_AA, 4)
    cv2.polylines(canvas, placed, False, PAPER, line_px, cv2.LINE_AA, 4)
