"""Find faces with BlazeFace's short-range network, in a few milliseconds on any CPU.

The whole picture is seen at 128 pixels, so it finds faces within about two metres of an ordinary camera;
faces that are small in a wide picture are missed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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


class BlazeFace:
    """Find faces in pictures of any size. It sees no time: `expect` and `reset` change nothing."""

    def __init__(self, net: SharedNet, why: str = "") -> None:
        self.info = DetectorInfo(ID, "BlazeFace (faces near the camera)", NAMES, net.says, why)
        self._net = net
        self._anchors = anchors()

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        side = self._net.width_px
        fitted = letterboxed(pixels, side, side)
        found = self._net.run(fitted.planes_13HW)
        boxes, scores = faces(found["places"][0], found["logits"][0, :, 0], self._anchors, side, least_score)
        kinds = np.zeros(len(boxes), np.int64)
        return detections(fitted.shares(boxes), scores, kinds, NAMES, most)

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


def faces(
    places_AN: Floats, logits_A: Floats, anchors_A2: Floats, side_px: int, least_score: float
) -> tuple[Floats, Floats]:
    """Return boxes in pixels of the net's picture, and scores, one for each face, the surest first.

    Each box is the mean of all that lie on the surest, weighed by their scores: so it trembles less from
    picture to picture than the surest alone.
    """
    all_scores = 1.0 / (1.0 + np.exp(-np.clip(logits_A, -80.0, 80.0)))
    sure = np.flatnonzero(all_scores >= least_score)
    scores = all_scores[sure].astype(np.float32)
    middle = places_AN[sure, :2] + anchors_A2[sure] * side_px
    half = places_AN[sure, 2:4] / 2
    boxes = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
    kept = separate(boxes, scores, np.zeros(len(boxes), np.int64), LEAST_IOU)
    weights = (overlaps(boxes[kept], boxes) >= LEAST_IOU) * scores
    return np.asarray(weights @ boxes / weights.sum(-1, keepdims=True), np.float32), scores[kept]
