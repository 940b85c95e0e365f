"""Where a film is cut or a camera turned elsewhere: what was followed until then is no more there.

The middle of each picture is looked for in the one before, among a few cells of it and after taking away slow
changes of brightness. So neither a flash nor a lamp is a cut, nor a pan, nor a thing that moves through.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

CELLS = (64, 36)
"""Width and height of the small pictures."""
SEARCH = (12, 7)
"""By how many cells the view may have moved, each way: a fifth of the picture."""
DETAIL_CELLS = 4.0
"""What is wider than this (standard deviation of a Gaussian) is taken away."""
LEAST_LIKENESS = 0.33
"""Correlation below which two pictures show different scenes: above what unlike ones reach by chance."""
LEAST_CONTRAST = 1.0
"""Grey levels (standard deviation) below which a picture shows nothing to compare, such as black."""


class CutDetector:
    """Tell for each picture of a stream whether a new scene begins with it."""

    def __init__(self) -> None:
        self._before: Any = None
        self._ratio = 0.0

    def reset(self) -> None:
        """Forget the stream."""
        self._before, self._ratio = None, 0.0

    def is_cut(self, pixels: npt.NDArray[np.uint8]) -> bool:
        """Take the next picture (H, W, 3); return whether it shows another scene than the one before.

        A picture with another ratio of sides begins a new scene. One without contrast is passed over: after a
        flash or black pictures the next is compared with the last that showed something.
        """
        ratio, before_ratio = pixels.shape[1] / pixels.shape[0], self._ratio
        self._ratio = ratio
        small = _small(pixels)
        if before_ratio and abs(ratio / before_ratio - 1) > 0.01:
            self._before = small
            return True
        if small is None:
            return False
        before, self._before = self._before, small
        return before is not None and _likeness(before, small) < LEAST_LIKENESS


def _small(pixels: npt.NDArray[np.uint8]) -> Any:
    some = cv2.resize(pixels, (4 * CELLS[0], 4 * CELLS[1]), interpolation=cv2.INTER_NEAREST)
    cells = cv2.resize(some, CELLS, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(cells, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= cv2.GaussianBlur(grey, (0, 0), DETAIL_CELLS)
    return grey if float(grey.std()) >= LEAST_CONTRAST else None


def _likeness(before: Any, now: Any) -> float:
    columns, rows = SEARCH
    middle = np.ascontiguousarray(now[rows:-rows, columns:-columns])
    return float(cv2.matchTemplate(before, middle, cv2.TM_CCOEFF_NORMED).max())
