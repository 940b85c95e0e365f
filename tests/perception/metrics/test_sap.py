"""Streaming AP: a perfect detector that is late is wrong, what it foresees is right; counted as COCO does."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from perception.metrics.sap import Output, offline_ap, streaming_ap
from perception.metrics.streaming import runs
from realtime.core.errors import ConfigError

FPS, FRAMES, SIDE = 30.0, 40, 400.0


def box(k: int, frame: float) -> tuple[float, float, float, float]:
    """Where object k is at a frame, which may lie between two: each moves at its own speed."""
    x, y = 40.0 + 60 * k + (2 + k) * frame, 60.0 + 50 * k
    return x, y, x + 40 + 4 * k, y + 60


@pytest.fixture
def world() -> dict[str, Any]:
    images, annotations = [], []
    for sid in range(2):
        for fid in range(FRAMES):
            number = sid * FRAMES + fid
            images.append({"id": number, "sid": sid, "fid": fid, "width": int(SIDE), "height": int(SIDE)})
            for k in range(4):
                left, top, right, bottom = box(k, fid)
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": 1 + k % 2,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "iscrowd": 0,
                    }
                )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "sequences": ["one", "two"],
    }


def said(frame: float, finish_s: float, noise_px: float = 0.0, seed: int = 0) -> Output:
    draw = np.random.default_rng(seed)
    boxes = np.array([box(k, frame) for k in range(4)]) + draw.normal(0, noise_px, (4, 4))
    return Output(finish_s, boxes, draw.uniform(0.3, 1.0, 4), np.array([1, 2, 1, 2]))


def stream(frames_each: float, ahead: float = 0.0) -> dict[int, list[Output]]:
    done = runs(FRAMES, FPS, lambda k: frames_each / FPS)
    return {sid: [said(run.frame + ahead, run.finish_s) for run in done] for sid in range(2)}


def test_no_time_no_loss(world: dict[str, Any]) -> None:
    score = streaming_ap(world, stream(0.0), FPS)
    assert score.ap == pytest.approx(100)
    assert score.missed == 0


def test_a_perfect_detector_that_is_late_is_wrong_and_later_is_worse(world: dict[str, Any]) -> None:
    late = [streaming_ap(world, stream(each), FPS).ap for each in (0.0, 0.9, 1.9, 3.9)]
    assert late == sorted(late, reverse=True)
    assert late[-1] < 50
    assert streaming_ap(world, stream(0.9), FPS).missed == 2  # the first frame of each sequence


def test_what_is_foreseen_counts_in_full(world: dict[str, Any]) -> None:
    held, foreseen = streaming_ap(world, stream(0.9), FPS), streaming_ap(world, stream(0.9, ahead=1.0), FPS)
    assert foreseen.ap > 95 > held.ap


def test_the_counting_is_coco_s(world: dict[str, Any]) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    outputs = {image["id"]: said(image["fid"], 0.0, 6.0, image["id"]) for image in world["images"]}
    ours = offline_ap(world, outputs)
    rows = [
        {
            "image_id": image,
            "category_id": int(kind),
            "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]],
            "score": float(score),
        }
        for image, one in outputs.items()
        for b, score, kind in zip(one.boxes_N4.tolist(), one.scores_N, one.kinds_N, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = world
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    theirs = [100 * float(one) for one in evaluation.stats[:3]]
    assert [ours.ap, ours.ap50, ours.ap75] == pytest.approx(theirs, abs=0.01)
    assert 5 < ours.ap < 95


def test_annotations_that_cannot_be_scored_are_refused(world: dict[str, Any]) -> None:
    del world["images"][3]["fid"]
    with pytest.raises(ConfigError, match="Image 3 of the annotations"):
        streaming_ap(world, stream(0.0), FPS)


def test_the_annotation_id_that_coco_takes_for_no_match_is_refused(world: dict[str, Any]) -> None:
    world["annotations"][0]["id"] = 0
    with pytest.raises(ConfigError, match="id 0"):
        offline_ap(world, {0: said(0, 0.0)})


def test_who_says_nothing_scores_nothing(world: dict[str, Any]) -> None:
    assert streaming_ap(world, {}, FPS).ap == 0
    assert streaming_ap(world, {}, FPS).missed == 2 * FRAMES
