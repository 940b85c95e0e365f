"""Find COCO's 80 kinds of things with NanoDet-g: small, quick on any CPU, and no more accurate than that
(22.9 mAP on COCO's validation set, as its authors say).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perception.scene import Detections
from pipelines.engines.base import Report

from .base import DetectorInfo, Pixels
from .boxes import Floats, detections, letterboxed, separate
from .coco import NAMES
from .seeing import SharedNet

ID = "nanodet-g"
STRIDES = (8, 16, 32)
LEAST_IOU = 0.6
"""As its authors have it."""
MOST_SURE = 1000
"""Pairs of place and kind that are looked at, the surest."""


class NanoDet:
    """Find things in pictures of any size. It sees no time: `expect` and `reset` change nothing."""

    def __init__(self, net: SharedNet, why: str = "") -> None:
        self.info = DetectorInfo(ID, "NanoDet-g (80 kinds of things)", NAMES, net.says, why)
        self._net = net
        self._grid = cells(net.width_px, net.height_px)

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        fitted = letterboxed(pixels, self._net.width_px, self._net.height_px)
        found = self._net.run(fitted.planes_13HW)
        boxes, scores, kinds = candidates(found["scores"][0], found["distances"][0], self._grid, least_score)
        kept = separate(boxes, scores, kinds, LEAST_IOU)
        return detections(fitted.shares(boxes[kept]), scores[kept], kinds[kept], NAMES, most)

    def expect(self, delay_s: float) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


def load_nanodet(
    shared: Callable[[str, Callable[[], Any]], Any], engine: str, report: Report, *, precision: str = "auto"
) -> NanoDet:
    """Return the detector of one stream, on the shared engine. Raises ModelMissing when it is not here."""
    from pipelines.models.store import locate

    folder = locate(ID)
    return NanoDet(
        shared(f"see {folder} {engine} {precision}", lambda: net(folder, engine, precision, report))
    )


def net(folder: Path, engine: str, precision: str, report: Report) -> SharedNet:
    """Read the network and make its engine."""
    from perception.nets.nanodet import nanodet_network

    return SharedNet(nanodet_network(folder), engine, precision, report)


def cells(width_px: int, height_px: int) -> Floats:
    """Return the middle of each cell of all grids, and its stride: (A, 3), the finest grid first."""
    found = []
    for stride in STRIDES:
        y, x = np.mgrid[0 : height_px // stride, 0 : width_px // stride]
        middle = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride
        found.append(np.concatenate([middle, np.full((len(middle), 1), stride)], 1))
    return np.concatenate(found).astype(np.float32)


def candidates(
    scores_AC: Floats, distances_AD: Floats, grid_A3: Floats, least_score: float
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Return boxes in pixels of the net's picture, scores and kinds of all that is sure enough.

    A side's distance is the mean of its distribution, in strides.
    """
    flat = scores_AC.ravel()
    sure = np.flatnonzero(flat >= least_score)
    if len(sure) > MOST_SURE:
        sure = sure[np.argpartition(-flat[sure], MOST_SURE)[:MOST_SURE]]
    places, kinds = np.divmod(sure, scores_AC.shape[1])
    raw = distances_AD[places].reshape(len(places), 4, distances_AD.shape[1] // 4)
    shares = np.exp(raw - raw.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    sides = (shares @ np.arange(raw.shape[-1], dtype=np.float32)) * grid_A3[places, 2:]
    middle = grid_A3[places, :2]
    boxes = np.concatenate([middle - sides[:, :2], middle + sides[:, 2:]], 1)
    return boxes.astype(np.float32), flat[sure], kinds.astype(np.int64)
