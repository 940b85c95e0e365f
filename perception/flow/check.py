"""Which part of a flow to believe: there and back must lead home (Sundaram, Brox and Keutzer, ECCV 2010)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .value import Field

SHARE, SLACK = 0.01, 0.5
"""|there + back|^2 must be below SHARE (|there|^2 + |back|^2) + SLACK, in cells squared."""


@lru_cache(maxsize=4)
def cells(height: int, width: int) -> Field:
    """Return where each cell is, (H, W, 2)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    grid = np.stack([x, y], axis=-1)
    grid.flags.writeable = False
    return grid


def consistent(there_HW2: Field, back_HW2: Field) -> npt.NDArray[np.bool_]:
    """Return for which cells of `there` the way back from where it leads comes home, (H, W).

    What leaves the picture does not.
    """
    height, width = there_HW2.shape[:2]
    target = cells(height, width) + there_HW2
    home = cv2.remap(back_HW2, target, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    # Planes: sums over a last axis of two cost several times as much.
    there_x, there_y = cv2.split(there_HW2)
    home_x, home_y = cv2.split(home)
    missed2 = _length2(home_x + there_x, home_y + there_y)
    moved2 = _length2(there_x, there_y) + _length2(home_x, home_y)
    x, y = cv2.split(target)
    inside = (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
    return np.asarray(inside & (missed2 < SHARE * moved2 + SLACK))


def _length2(x_HW: Any, y_HW: Any) -> Any:
    return x_HW * x_HW + y_HW * y_HW
