"""Where a picture shows the same as another one: by cell of the latents, from the camera pictures.

Small differences are the sensor's noise and large ones are change. What is compared are means of a quarter of
a cell, so that noise is averaged away and a fine edge that moves is not; the largest difference around a cell
counts, since a network sees around it too.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .pictures import Pixels, square

Map = npt.NDArray[np.float32]
SAME_LEVELS = 5.0
"""Grey levels (of 255) up to which a difference is noise."""
OTHER_LEVELS = 14.0
"""Grey levels from which it is change."""
CUT_SHARE = 0.1
"""Where less than this share of a picture is still, the rest is chance: it is another scene."""


def thumbnail(pixels: Pixels, side: int) -> Map:
    """Return the square of a frame that is painted, averaged to two points a latent cell: (2s, 2s, 3)."""
    return square(pixels, 2 * side).astype(np.float32)


def stillness(now: Map, then: Map) -> Map:
    """Return for each cell how far `now` shows what `then` did, 0 to 1: (s, s), of two thumbnails."""
    side = len(now) // 2
    apart = np.abs(now - then).max(axis=2)
    worst = apart.reshape(side, 2, side, 2).max(axis=(1, 3))
    return _share(worst, SAME_LEVELS, OTHER_LEVELS)


def share_alike(now: Map, then: Map, same_levels: float, other_levels: float) -> Map:
    """Return for each point how far two pictures (s, s, 3) agree, its neighbours included, 0 to 1: (s, s)."""
    red, green, blue = cv2.split(cv2.absdiff(now, then))
    worst = np.asarray(cv2.max(cv2.max(red, green), blue), np.float32)
    return _share(worst, same_levels, other_levels)


def _share(apart: Map, same_levels: float, other_levels: float) -> Map:
    around = np.asarray(cv2.dilate(apart, np.ones((3, 3), np.uint8)), np.float32)
    share = (other_levels - around) / (other_levels - same_levels)
    return np.asarray(np.clip(share, 0.0, 1.0), np.float32)


def is_cut(still: Map) -> bool:
    """Tell whether so little is still that it is another scene."""
    return float(still.mean()) < CUT_SHARE
