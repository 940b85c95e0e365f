"""Draw a skeleton as pose control nets were shown it: OpenPose's eighteen points, limbs and colours.

Colours go once around the wheel, 20 degrees a step; limbs are ellipses at six tenths, points are full discs
(Cao et al. 2019, arXiv:1812.08008, as drawn for ControlNet, arXiv:2302.05543).
"""

from __future__ import annotations

import colorsys
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

JOINTS = 17
"""COCO's: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; the left one first."""
ORDER = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""OpenPose's points by COCO's numbers: nose, neck (-1, between the shoulders), right arm, left arm, ..."""
NECK = 1
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
LIMB_SHADE = 0.6
USUAL_PX = 512
"""Shorter side at which limbs are 4 px thick, as the nets were shown them."""


def colour(k: int) -> tuple[int, int, int]:
    """Return the colour of point or limb `k`, RGB."""
    red, green, blue = colorsys.hsv_to_rgb(k / len(ORDER), 1.0, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def points_of(joints_17x3: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return OpenPose's points (18, 3) of COCO's joints: x, y and how sure."""
    points = joints_17x3[list(ORDER)].astype(np.float32)
    left, right = joints_17x3[5], joints_17x3[6]
    points[NECK, :2] = (left[:2] + right[:2]) / 2
    points[NECK, 2] = min(left[2], right[2])
    return points


def drawn(
    joints_17x3: npt.NDArray[np.float32], least: float, height_px: int, width_px: int
) -> npt.NDArray[np.uint8]:
    """Return the skeleton on black, (height_px, width_px, 3); joints less sure than `least` are left out."""
    picture: Any = np.zeros((height_px, width_px, 3), np.uint8)
    points = points_of(joints_17x3)
    thick = max(round(4 * min(height_px, width_px) / USUAL_PX), 1)
    for k, (a, b) in enumerate(LIMBS):
        if min(points[a, 2], points[b, 2]) < least:
            continue
        middle = (points[a, :2] + points[b, :2]) / 2
        across, down = points[b, :2] - points[a, :2]
        axes = (round(float(np.hypot(across, down)) / 2), thick)
        angle = float(np.degrees(np.arctan2(down, across)))
        shade = tuple(round(LIMB_SHADE * part) for part in colour(k))
        cv2.ellipse(
            picture, (round(float(middle[0])), round(float(middle[1]))), axes, angle, 0, 360, shade, -1
        )
    for k, (x, y, sure) in enumerate(points):
        if sure >= least:
            cv2.circle(picture, (round(float(x)), round(float(y))), thick, colour(k), -1)
    return np.asarray(picture, np.uint8)
