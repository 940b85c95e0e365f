"""Find things with a detector of transformers: RT-DETR and v2, D-FINE, DEIMv2 or RF-DETR, from a folder, the
catalog or the cache of the Hugging Face hub. torchvision is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from perception.scene import Boxes, Detections
from pipelines.engines.base import Report

from .base import DetectorInfo, Pixels
from .boxes import Floats, detections, squeezed
from .seeing import SharedNet

TITLES = {
    "rt_detr": "RT-DETR",
    "rt_detr_v2": "RT-DETR v2",
    "d_fine": "D-FINE",
    "deimv2": "DEIMv2",
    "rf_detr": "RF-DETR",
}


class Loaded(NamedTuple):
    """Hold what the streams of one model share."""

    net: SharedNet
    names: tuple[str, ...]
    kind: str


class HubDetector:
    """Find things in pictures of any size. It sees no time: `expect` and `reset` change nothing."""

    def __init__(self, model: str, loaded: Loaded) -> None:
        title = f"{TITLES[loaded.kind]} ({model})"
        self.info = DetectorInfo(model, title, loaded.names, loaded.net.says)
        self._net, self._names = loaded.net, loaded.names

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        fitted = squeezed(pixels, self._net.width_px, self._net.height_px)
        found = self._net.run(fitted.planes_13HW)
        boxes, scores, kinds = surest(found["logits"][0], found["boxes"][0], least_score)
        return detections(np.clip(boxes, 0.0, 1.0), scores, kinds, self._names, most)

    def expect(self, delay_s: float) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


def load_hub(
    model: str,
    shared: Callable[[str, Callable[[], Any]], Any],
    engine: str,
    report: Report,
    *,
    precision: str = "auto",
) -> HubDetector:
    """Return the detector of one stream, on the shared engine: `model` is a folder, a catalog id or hub:.

    Raises ModelMissing when it is not here, ModelError when it is of another kind.
    """
    from pipelines.models.store import locate

    folder = locate(model)
    key = f"see {folder} {engine} {precision}"
    return HubDetector(model, shared(key, lambda: loaded(folder, engine, precision, report)))


def loaded(folder: Path, engine: str, precision: str, report: Report) -> Loaded:
    """Read the model and make its engine."""
    from perception.nets.detr import read_detr

    report(f"Reading the detector {folder.name}.")
    detr = read_detr(folder)
    return Loaded(SharedNet(detr.network, engine, precision, report), detr.names, detr.kind)


def surest(
    logits_QK: Floats, boxes_Q4: Floats, least_score: float
) -> tuple[Boxes, Floats, npt.NDArray[np.int64]]:
    """Return boxes as shares, scores and kinds, the surest first.

    As many pairs of box and kind are looked at as there are boxes, so one box may come as two kinds; a kind
    is scored by itself (Lin et al. 2017, arXiv:1708.02002).
    """
    scores = (1.0 / (1.0 + np.exp(-np.clip(logits_QK.astype(np.float64), -80.0, 80.0)))).ravel()
    order = np.argsort(-scores, kind="stable")[: len(boxes_Q4)]
    order = order[scores[order] >= least_score]
    places, kinds = np.divmod(order, logits_QK.shape[1])
    middle, half = boxes_Q4[places, :2], boxes_Q4[places, 2:] / 2
    found = np.concatenate([middle - half, middle + half], 1)
    return found.astype(np.float32), scores[order].astype(np.float32), kinds.astype(np.int64)
