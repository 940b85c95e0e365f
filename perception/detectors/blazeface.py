"""Find faces with BlazeFace's short-range network, in a few milliseconds on any CPU.

The network sees 128 pixels, so it finds faces within about two metres of an ordinary camera. A wide picture
is looked at as squares that overlap; faces smaller than about an eighth of a square are missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perception.scene import Detections
from pipelines.engines.base import Report

from .base import DetectorInfo, Pixels
from .boxes import Floats, detections, letterboxed, overlaps, separate
from .seeing import SharedNet

ID = "blazeface"
NAMES = ("face",)
GRIDS = ((16, 2), (8, 6))
"""Cells along a side, and anchors in each."""
LEAST_IOU = 0.3
SQUARE, LONGEST = 1.15, 2.5
"""Ratios of sides from and to which a picture is looked at in squares."""
EDGE = 0.02
"""Boxes so near the edge of a square, as a share of it, are parts of faces that the next one has whole."""


class BlazeFace:
    """Find faces in pictures of any size. It sees no time: `expect` and `reset` change nothing."""

    def __init__(self, net: SharedNet, why: str = "") -> None:
        self.info = DetectorInfo(ID, "BlazeFace (faces near the camera)", NAMES, net.says, why)
        self._net = net
        self._anchors = anchors()

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        side, small = self._net.width_px, reduced(pixels, self._net.width_px)
        size = np.array([small.shape[1], small.shape[0]] * 2, np.float32)
        every = [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))]
        for left, top, right, bottom in views(small.shape[1], small.shape[0]):
            fitted = letterboxed(small[top:bottom, left:right], side, side)
            found = self._net.run(fitted.planes_13HW)
            places, logits = found["places"][0], found["logits"][0, :, 0]
            near, scores = told(places, logits, self._anchors, side, least_score)
            view = np.array([left, top, right, bottom], np.float32)
            boxes = fitted.shares(near) * np.tile(view[2:] - view[:2], 2) + np.tile(view[:2], 2)
            whole = is_whole(boxes, view, size)
            every.append((boxes[whole], scores[whole]))
        boxes, scores = joined(*(np.concatenate(parts) for parts in zip(*every, strict=True)))
        return detections(boxes / size, scores, np.zeros(len(boxes), np.int64), NAMES, most)

    def expect(self, delay_s: float) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


def load_blazeface(
    shared: Callable[[str, Callable[[], Any]], Any],
    engine: str,
    report: Report,
    *,
    precision: str = "auto",
    why: str = "",
) -> BlazeFace:
    """Return the detector of one stream, on the shared engine. Raises ModelMissing when it is not here."""
    from pipelines.models.store import locate

    folder = locate(ID)
    key = f"see {folder} {engine} {precision}"
    return BlazeFace(shared(key, lambda: net(folder, engine, precision, report)), why)


def net(folder: Path, engine: str, precision: str, report: Report) -> SharedNet:
    """Read the network and make its engine."""
    from perception.nets.blazeface import blazeface_network

    return SharedNet(blazeface_network(folder), engine, precision, report)


def anchors() -> Floats:
    """Return the middle of each anchor's cell, as shares of the picture: (A, 2)."""
    found = []
    for side, count in GRIDS:
        y, x = np.mgrid[0:side, 0:side]
        found.append(np.repeat((np.stack([x, y], -1).reshape(-1, 2) + 0.5) / side, count, axis=0))
    return np.concatenate(found).astype(np.float32)


def reduced(pixels: Pixels, side_px: int) -> Pixels:
    """Return a picture whose shorter side is at most as long as the net's, for all squares."""
    scale = side_px / min(pixels.shape[:2])
    if scale >= 1 or not SQUARE < max(pixels.shape[:2]) / min(pixels.shape[:2]) <= LONGEST:
        return pixels
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def views(width_px: int, height_px: int) -> list[tuple[int, int, int, int]]:
    """Return the parts of a picture that are looked at, in pixels: squares along its longer side, each
    at least half over the next. One that is nearly square, or very long, is looked at as it is.
    """
    long, short = max(width_px, height_px), min(width_px, height_px)
    ratio = long / short
    if not SQUARE < ratio <= LONGEST:
        return [(0, 0, width_px, height_px)]
    count = math.ceil(2 * (ratio - 1)) + 1
    starts = [round(k * (long - short) / (count - 1)) for k in range(count)]
    if width_px >= height_px:
        return [(start, 0, start + short, short) for start in starts]
    return [(0, start, short, start + short) for start in starts]


def is_whole(boxes_N4: Floats, view_4: Floats, picture_4: Floats) -> npt.NDArray[np.bool_]:
    """Tell which boxes do not touch an edge at which the view was cut out of its picture."""
    near = EDGE * float((view_4[2:] - view_4[:2]).max())
    inside = np.concatenate([boxes_N4[:, :2] - view_4[:2], view_4[2:] - boxes_N4[:, 2:]], 1) > near
    is_end = np.concatenate([view_4[:2] <= 0, view_4[2:] >= picture_4[2:]])
    return np.asarray((inside | is_end).all(1))


def told(
    places_AN: Floats, logits_A: Floats, anchors_A2: Floats, side_px: int, least_score: float
) -> tuple[Floats, Floats]:
    """Return boxes in pixels of the net's picture, and scores, of all anchors that are sure enough."""
    all_scores = 1.0 / (1.0 + np.exp(-np.clip(logits_A, -80.0, 80.0)))
    sure = np.flatnonzero(all_scores >= least_score)
    middle = places_AN[sure, :2] + anchors_A2[sure] * side_px
    half = places_AN[sure, 2:4] / 2
    boxes = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
    return boxes, all_scores[sure].astype(np.float32)


def joined(boxes_N4: Floats, scores_N: Floats) -> tuple[Floats, Floats]:
    """Return a box and a score for each face, the surest first.

    Each box is the mean of all that lie on the surest, weighed by their scores: so it trembles less from
    picture to picture than the surest alone.
    """
    kept = separate(boxes_N4, scores_N, np.zeros(len(boxes_N4), np.int64), LEAST_IOU)
    weights = (overlaps(boxes_N4[kept], boxes_N4) >= LEAST_IOU) * scores_N
    return np.asarray(weights @ boxes_N4 / weights.sum(-1, keepdims=True), np.float32), scores_N[kept]
