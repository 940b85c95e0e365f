"""A photograph that moves: the astronaut (NASA, public domain, from scikit-image), panned and zoomed."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from skimage.data import astronaut

Pixels = np.ndarray


@lru_cache(maxsize=1)
def _photo() -> Pixels:
    return np.ascontiguousarray(astronaut())


def moving_photo(number: int, side_px: int) -> Pixels:
    """Return picture `number` of the clip, (side, side, 3) RGB; the same number gives the same pixels."""
    photo = _photo()
    window = 400 + round(60 * np.sin(number / 40))
    left, top = (round((512 - window) * (0.5 + 0.5 * np.sin(number / period))) for period in (37, 53))
    cut = photo[top : top + window, left : left + window]
    return cv2.resize(cut, (side_px, side_px), interpolation=cv2.INTER_AREA)


def outlines(rgb_HW3: Pixels, blur_px: float = 3.0) -> Pixels:
    """Return blurred luma slopes, flat: what a repainted picture should share with its source."""
    luma = cv2.GaussianBlur(cv2.cvtColor(rgb_HW3, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), blur_px)
    return np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)).ravel()


def likeness(a_HW3: Pixels, b_HW3: Pixels) -> float:
    """Return the correlation of two pictures' outlines, -1 to 1; `b` is brought to the size of `a`."""
    b = cv2.resize(b_HW3, a_HW3.shape[1::-1], interpolation=cv2.INTER_AREA)
    return float(np.corrcoef(outlines(a_HW3), outlines(b))[0, 1])
