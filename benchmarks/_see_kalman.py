"""The forecasting baseline of streaming perception, written from its description (arXiv:2005.10420).

Left, top, width and height with velocities per frame; greedy matching by overlap, the surest box first; a
track without a box is dropped, and a new one is not moved. Slow and plain on purpose: it is what others are
measured against.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception.scene import Detections

LEAST_IOU, LEAST_AREA_PX = 0.3, 75.0
MEASURED, BEGUN = 10.0, 100.0
"""Variances in px²."""
Numbers = npt.NDArray[np.float64]


class OfficialKalman:
    """Follow the boxes of one stream. Times are frames."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        self._size = np.array(size_px, np.float64)
        self._means, self._spread = np.zeros((0, 8)), np.zeros((0, 8, 8))
        self._scores, self._kinds, self._frame = np.zeros(0), np.zeros(0, np.int64), 0

    def update(self, found: Detections, frame: int) -> None:
        step, span = _step(frame - self._frame), frame - self._frame
        self._frame = frame
        means = self._means @ step.T
        spread = step @ self._spread @ step.T + span**2 * np.eye(8)
        boxes = found.xyxy_N4.astype(np.float64) * np.tile(self._size, 2)
        seen = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        of = self._matched(boxes, found.kinds_N, means)
        self._means = np.concatenate([seen, np.zeros_like(seen)], axis=1)
        self._spread = np.tile(BEGUN * np.eye(8), (len(seen), 1, 1))
        for k, track in of.items():
            gain = spread[track][:, :4] @ np.linalg.inv(spread[track][:4, :4] + MEASURED * np.eye(4))
            self._means[k] = means[track] + gain @ (seen[k] - means[track][:4])
            self._spread[k] = spread[track] - gain @ spread[track][:4]
        self._scores, self._kinds = found.scores_N.astype(np.float64), found.kinds_N

    def at(self, frame: int) -> tuple[Numbers, Numbers, npt.NDArray[np.int64]]:
        """Return boxes in px, scores and kinds at a frame."""
        boxes = _corners(self._means @ _step(frame - self._frame).T)
        boxes = boxes.clip(0, np.tile(self._size, 2))
        large = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) >= LEAST_AREA_PX
        return boxes[large], self._scores[large], self._kinds[large]

    def _matched(self, boxes: Numbers, kinds: npt.NDArray[np.int64], means: Numbers) -> dict[int, int]:
        """Return the track of each box that has one; boxes come the surest first."""
        of: dict[int, int] = {}
        overlaps = overlap(boxes, _corners(means)) if len(means) else np.zeros((len(boxes), 0))
        for k in range(len(boxes)):
            row = np.where(self._kinds == kinds[k], overlaps[k], 0.0)
            row[list(of.values())] = 0.0
            if len(row) and row.max() >= LEAST_IOU:
                of[k] = int(row.argmax())
        return of


def overlap(one_N4: Numbers, other_M4: Numbers) -> Numbers:
    """Return intersection over union of each with each, (N, M)."""
    corner = np.maximum(one_N4[:, None, :2], other_M4[None, :, :2])
    end = np.minimum(one_N4[:, None, 2:], other_M4[None, :, 2:])
    common = np.clip(end - corner, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one_N4, other_M4)]
    return np.asarray(common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9))


def _corners(means: Numbers) -> Numbers:
    return np.concatenate([means[:, :2], means[:, :2] + means[:, 2:4]], axis=1)


def _step(frames: int) -> Numbers:
    step = np.eye(8)
    step[:4, 4:] = frames * np.eye(4)
    return step
