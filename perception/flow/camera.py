"""How the camera moved: the one motion that most of a picture shares, whatever moves in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .path import Affine
from .value import Field

APART = 8
"""Cells between the points that are looked at."""
MOST_POINTS = 800
LEAST_POINTS = 24
NEAR, LEAST_DETAIL = 3, 6
"""Levels by which what is so many cells apart must differ: on a bare wall flow is a guess."""
OFF = 0.5
"""Cells by which a point may miss the common motion."""
LEAST_INLIERS = 0.3
"""Share of the points looked at below which there is no common motion."""
GROWTH = (0.7, 1.4)
"""A camera does not come or go faster than that between two pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Hold some points of two pictures, in cells, and how many were looked at: not all are consistent."""

    before_N2: npt.NDArray[np.float32]
    now_N2: npt.NDArray[np.float32]
    looked_at: int

    def __len__(self) -> int:
        return len(self.now_N2)

    def strays(self, camera_23: Affine | None) -> npt.NDArray[np.float64]:
        """Return how far each point is from where the camera's motion, in cells, takes it, (N,)."""
        expected = (
            self.before_N2 if camera_23 is None else self.before_N2 @ camera_23[:, :2].T + camera_23[:, 2]
        )
        return np.asarray(np.linalg.norm(self.now_N2 - expected, axis=1), np.float64)


def points_of(
    grey_HW: npt.NDArray[np.uint8], backward_HW2: Field, consistent_HW: npt.NDArray[np.bool_]
) -> Points:
    """Return points of an even grid of the later picture where it has detail and the flow is consistent."""
    half = APART // 2
    cut = np.s_[half:-NEAR:APART, half:-NEAR:APART]
    smooth = np.asarray(cv2.blur(grey_HW, (3, 3)), np.uint8)  # noise is no detail
    here = smooth[cut].astype(np.int16)
    right = smooth[half:-NEAR:APART, half + NEAR :: APART]
    below = smooth[half + NEAR :: APART, half:-NEAR:APART]
    detail = np.maximum(np.abs(here - right), np.abs(here - below))
    rows, columns = np.nonzero(detail >= LEAST_DETAIL)
    step = -(-len(rows) // MOST_POINTS) or 1
    now = np.stack([columns, rows], axis=1)[::step] * APART + half
    sure = now[consistent_HW[now[:, 1], now[:, 0]]]
    back = backward_HW2[sure[:, 1], sure[:, 0]]
    return Points((sure + back).astype(np.float32), sure.astype(np.float32), len(now))


def common_motion(points: Points) -> tuple[Affine | None, float]:
    """Return the similarity that most points share, in cells (2, 3), and their share; None where too few do.

    Random samples choose it, least squares over those that agree refine it.
    """
    if len(points) < LEAST_POINTS:
        return None, 0.0
    found, agree = cv2.estimateAffinePartial2D(
        points.before_N2, points.now_N2, method=cv2.RANSAC, ransacReprojThreshold=OFF, maxIters=500
    )
    if found is None or not np.isfinite(found).all():
        return None, 0.0
    share = float(agree.sum()) / points.looked_at
    growth = float(np.sqrt(abs(np.linalg.det(found[:, :2]))))
    if share < LEAST_INLIERS or not GROWTH[0] <= growth <= GROWTH[1]:
        return None, share
    return np.asarray(found, np.float64), share


def in_shares(camera_23: Affine, width: int, height: int) -> Affine:
    """Return a motion of cells as one of shares of the picture; the middle of cell k is at k + 0.5."""
    size = np.array([width, height], np.float64)
    turn = camera_23[:, :2] / size[:, None] * size
    shift = (camera_23[:, 2] + 0.5 - camera_23[:, :2] @ np.array([0.5, 0.5])) / size
    return np.concatenate([turn, shift[:, None]], axis=1)


def in_cells(camera_23: Affine, width: int, height: int) -> Affine:
    """Return a motion of shares as one of cells."""
    size = np.array([width, height], np.float64)
    turn = camera_23[:, :2] * size[:, None] / size
    shift = camera_23[:, 2] * size - 0.5 + turn @ np.array([0.5, 0.5])
    return np.concatenate([turn, shift[:, None]], axis=1)


def speed_of(camera_23: Affine, aspect: float, span_s: float) -> float:
    """Return how fast a motion of shares moves the picture, on average over it, in heights a second."""
    if span_s <= 0:
        return 0.0
    at = np.stack(np.meshgrid([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]), axis=-1).reshape(-1, 2)
    gone = at @ camera_23[:, :2].T + camera_23[:, 2] - at
    return float(np.linalg.norm(gone * [aspect, 1.0], axis=1).mean() / span_s)
