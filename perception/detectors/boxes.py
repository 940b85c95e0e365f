"""What detectors share beyond their networks: fitting a picture into a square, and keeping the best boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perception.scene import Boxes, Detections

from .base import Pixels

Floats = npt.NDArray[np.float32]

MOST_COMPARED = 300
"""Boxes beyond these, the surest, are not looked at: what overlaps is found by comparing each with each."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Hold a picture made as large as fits into another size, and where it lies there."""

    planes_13HW: Floats
    """RGB in [0, 1]."""
    scale: tuple[float, float]
    """Pixels there for one pixel of the picture, across and down."""
    corner_px: tuple[int, int]
    """Where its left upper corner lies there."""
    picture_px: tuple[int, int]
    """Width and height of the picture itself."""

    def shares(self, xyxy_px_N4: Floats) -> Boxes:
        """Return boxes in pixels there as shares of the picture, cut off at its edges."""
        across, down = (side * scale for side, scale in zip(self.picture_px, self.scale, strict=True))
        moved = xyxy_px_N4 - np.tile(np.array(self.corner_px, np.float32), 2)
        found = moved / np.tile(np.array((across, down), np.float32), 2)
        return np.clip(found, 0.0, 1.0).astype(np.float32)


def letterboxed(pixels: Pixels, width_px: int, height_px: int) -> Fitted:
    """Fit a picture (H, W, 3) in the middle of another size, its sides in proportion, black around."""
    height, width = pixels.shape[:2]
    scale = min(width_px / width, height_px / height)
    inner = max(1, min(round(width * scale), width_px)), max(1, min(round(height * scale), height_px))
    left, top = (width_px - inner[0]) // 2, (height_px - inner[1]) // 2
    planes = np.zeros((1, 3, height_px, width_px), np.float32)
    planes[0, :, top : top + inner[1], left : left + inner[0]] = _planes(pixels, inner)
    return Fitted(planes, (inner[0] / width, inner[1] / height), (left, top), (width, height))


def squeezed(pixels: Pixels, width_px: int, height_px: int) -> Fitted:
    """Bring a picture (H, W, 3) to another size, whatever its sides."""
    height, width = pixels.shape[:2]
    planes = _planes(pixels, (width_px, height_px))[None]
    return Fitted(planes, (width_px / width, height_px / height), (0, 0), (width, height))


def _planes(pixels: Pixels, size_px: tuple[int, int]) -> Floats:
    """Return a picture of that width and height as (3, H, W) in [0, 1]."""
    is_smaller = size_px[0] < pixels.shape[1]
    shown: Any = pixels
    if (pixels.shape[1], pixels.shape[0]) != size_px:
        way = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
        shown = cv2.resize(pixels, size_px, interpolation=way)
    return np.ascontiguousarray(shown.transpose(2, 0, 1), np.float32) * np.float32(1 / 255)


def separate(xyxy_N4: Floats, scores_N: Floats, kinds_N: npt.NDArray[np.int64], least_iou: float) -> Any:
    """Return which boxes stay when of two that overlap by `least_iou` or more the surer one does.

    Boxes of different kinds do not compete. The indices come the surest first (non-maximum suppression).
    """
    order = np.argsort(-scores_N, kind="stable")[:MOST_COMPARED]
    boxes, kinds = xyxy_N4[order], kinds_N[order]
    rivals = (overlaps(boxes, boxes) >= least_iou) & (kinds[:, None] == kinds[None, :])
    stays = np.ones(len(order), bool)
    for k in range(len(order)):
        if stays[k]:
            stays[k + 1 :] &= ~rivals[k, k + 1 :]
    return order[stays]


def overlaps(one_N4: Floats, other_M4: Floats) -> Floats:
    """Return how much each box overlaps each other: what they share by what they cover together, (N, M)."""
    low = np.maximum(one_N4[:, None, :2], other_M4[None, :, :2])
    high = np.minimum(one_N4[:, None, 2:], other_M4[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(-1)
    areas = [np.clip(b[:, 2:] - b[:, :2], 0.0, None).prod(-1) for b in (one_N4, other_M4)]
    together = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / np.maximum(together, 1e-9), np.float32)


def detections(
    xyxy_N4: Boxes, scores_N: Floats, kinds_N: npt.NDArray[Any], names: tuple[str, ...], most: int
) -> Detections:
    """Return boxes, as shares, as a detector gives them: the surest first, at most `most`, none empty."""
    has_area = (xyxy_N4[:, 2:] > xyxy_N4[:, :2]).all(-1)
    boxes, scores, kinds = xyxy_N4[has_area], scores_N[has_area], kinds_N[has_area]
    order = np.argsort(-scores, kind="stable")[: max(most, 0)]
    found = boxes[order].astype(np.float32), scores[order].astype(np.float32), kinds[order].astype(np.int64)
    return Detections(*found, names)
