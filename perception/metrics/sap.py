"""Streaming average precision: COCO's AP over what was shown at each frame (arXiv:2005.10420).

The counting of boxes is `faster-coco-eval`'s, on annotations in COCO's format whose images carry "sid", the
number of their sequence in "sequences", and "fid", their place in it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime.core.errors import ConfigError

from .streaming import newest


@dataclass(frozen=True, slots=True)
class Output:
    """What a detector gave, and when."""

    finish_s: float
    """Seconds since the stream's first frame."""
    boxes_N4: npt.NDArray[np.float64]
    """Left, top, right, bottom in px."""
    scores_N: npt.NDArray[np.float64]
    kinds_N: npt.NDArray[np.int64]
    """Category ids of the annotations."""


@dataclass(frozen=True, slots=True)
class Score:
    """COCO's figures, in percent."""

    ap: float
    """Mean over IoU .50 to .95; of a stream it is called sAP."""
    ap50: float
    ap75: float
    missed: int
    """Frames at which nothing had been given yet."""


def streaming_ap(
    annotations: Mapping[str, Any], outputs: Mapping[int, Sequence[Output]], fps: float, eta: float = 0.0
) -> Score:
    """Score the outputs of each sequence, by "sid", against the truth of every frame.

    The frame that an output was made from plays no part: a right forecast counts in full. Raises ConfigError
    for annotations without "sid" and "fid".
    """
    rows: list[list[float]] = []
    missed = 0
    for sid, images in _sequences(annotations).items():
        given = sorted(outputs.get(sid, ()), key=lambda one: one.finish_s)
        last = max(image["fid"] for image in images) + 1
        shown = newest([one.finish_s for one in given], last, fps, eta)
        for image in images:
            place = shown[image["fid"]]
            if place is None:
                missed += 1
                continue
            one = given[place]
            for box, score, kind in zip(one.boxes_N4, one.scores_N, one.kinds_N, strict=True):
                left, top, right, bottom = box
                rows.append([image["id"], left, top, right - left, bottom - top, score, kind])
    return _coco(annotations, np.asarray(rows, np.float64).reshape(-1, 7), missed)


def offline_ap(annotations: Mapping[str, Any], outputs: Mapping[int, Output]) -> Score:
    """Score one output for each image, by the image's "id", as if it took no time."""
    rows = [
        [image, box[0], box[1], box[2] - box[0], box[3] - box[1], score, kind]
        for image, one in outputs.items()
        for box, score, kind in zip(one.boxes_N4, one.scores_N, one.kinds_N, strict=True)
    ]
    return _coco(annotations, np.asarray(rows, np.float64).reshape(-1, 7), 0)


def _sequences(annotations: Mapping[str, Any]) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = {}
    for image in annotations["images"]:
        if "sid" not in image or "fid" not in image:
            raise ConfigError(
                f"Image {image.get('id')} of the annotations says neither its sequence nor its place in it.",
                hint='Streaming AP needs "sid" and "fid" with each image, and "sequences" beside "images".',
            )
        found.setdefault(int(image["sid"]), []).append(image)
    return found


def _coco(annotations: Mapping[str, Any], rows_N7: npt.NDArray[np.float64], missed: int) -> Score:
    from faster_coco_eval import COCO, COCOeval_faster

    if any(one["id"] == 0 for one in annotations["annotations"]):
        raise ConfigError(
            "An annotation has the id 0, which COCO's evaluation takes for no match.",
            hint="Number annotations from 1.",
        )
    if not len(rows_N7):
        return Score(0.0, 0.0, 0.0, missed)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(dict(annotations))
        evaluation = COCOeval_faster(truth, truth.loadRes(rows_N7), "bbox", print_function=lambda *_: None)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ap, ap50, ap75 = (100 * float(one) for one in evaluation.stats[:3])
    return Score(ap, ap50, ap75, missed)
