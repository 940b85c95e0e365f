"""Detectors of transformers: what comes out is what transformers itself makes of the same picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.detectors.hub import HubDetector, load_hub, surest
from perception.nets.detr import in_any_order, read_detr
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.parity import judge
from realtime.core.errors import ModelCorrupt, ModelError
from tests.perception.detectors.models import NAMES, SIZE_PX, make

KINDS = ("rt_detr_v2", "d_fine", "deimv2", "rf_detr")
HEIGHT, WIDTH = SIZE_PX


def alone(key: str, build: Callable[[], Any]) -> Any:
    return build()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: make(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """Return a picture of just the size that the models are shown, so that nothing is resized."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[40 : 40 + 2 * HEIGHT : 2, 100 : 100 + 2 * WIDTH : 2])


def theirs(folder: Path, photo: np.ndarray, least: float) -> list[tuple[str, float, list[float]]]:
    """Return what transformers finds, by its own preparation, model and reading of the answer."""
    import transformers
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

    told = json.loads((folder / "preprocessor_config.json").read_text())
    processor = RTDetrImageProcessorPil(**told)
    model = transformers.AutoModelForObjectDetection.from_pretrained(str(folder)).eval()
    with torch.inference_mode():
        outputs = model(**processor(images=photo, return_tensors="pt"))
    (found,) = processor.post_process_object_detection(
        outputs, threshold=least, target_sizes=[photo.shape[:2]]
    )
    size = np.array([photo.shape[1], photo.shape[0]] * 2)
    boxes = found["boxes"].numpy() / size
    return [
        (model.config.id2label[int(kind)], float(score), list(box))
        for kind, score, box in zip(found["labels"], found["scores"], boxes, strict=True)
    ]


def ours(detector: HubDetector, photo: np.ndarray, least: float) -> list[tuple[str, float, list[float]]]:
    found = detector.detect(photo, 0, least_score=least, most=100)
    return [
        (found.names[kind], float(score), list(box))
        for kind, score, box in zip(found.kinds_N, found.scores_N, found.xyxy_N4, strict=True)
    ]


RUNS = [
    *(pytest.param(kind, "torch") for kind in KINDS),
    pytest.param("rt_detr_v2", "openvino"),
    *(pytest.param(kind, "openvino", marks=pytest.mark.nightly) for kind in KINDS[1:]),
    *(pytest.param(kind, "onnx", marks=pytest.mark.nightly) for kind in KINDS),
]


@pytest.mark.parametrize(("kind", "engine"), RUNS)
def test_what_is_found_is_what_transformers_finds(
    folders: dict[str, Path], photo: np.ndarray, kind: str, engine: str
) -> None:
    expected = theirs(folders[kind], photo, 0.2)
    assert 3 < len(expected) < 13
    assert len({round(score, 4) for _, score, _ in expected}) > 3, "scores tell the boxes apart"
    detector = load_hub(str(folders[kind]), alone, engine, lambda sentence: None, precision="fp32")
    assert detector.info.names == NAMES
    assert detector.info.engine == f"{engine} fp32"
    found = ours(detector, photo, 0.2)
    clipped = [(n, s, np.clip(b, 0, 1)) for n, s, b in expected]
    kept = [(n, s, b) for n, s, b in clipped if (b[2:] > b[:2]).all()]
    assert [name for name, *_ in found] == [name for name, *_ in kept]
    np.testing.assert_allclose([s for _, s, _ in found], [s for _, s, _ in kept], atol=1e-4)
    np.testing.assert_allclose([b for *_, b in found], [b for *_, b in kept], atol=1e-4)


def test_how_a_picture_is_fed_is_read_from_the_folder(tmp_path: Path, photo: np.ndarray) -> None:
    """Mean and spread that the folder names reach the model, and without them the answer is another."""
    told = {"do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.1]}
    folder = make("rt_detr_v2", tmp_path, **told)
    expected = [score for _, score, _ in theirs(folder, photo, 0.2)]
    found = ours(load_hub(str(folder), alone, "torch", lambda sentence: None), photo, 0.2)
    np.testing.assert_allclose([score for _, score, _ in found], expected, atol=1e-4)
    (folder / "preprocessor_config.json").unlink()
    other = ours(load_hub(str(folder), alone, "torch", lambda sentence: None), photo, 0.2)
    assert max(abs(a - b[1]) for a, b in zip(expected, other, strict=False)) > 1e-3


def test_the_surest_pairs_of_box_and_kind_are_taken() -> None:
    logits = np.array([[3.0, 2.0], [-9.0, 1.0], [0.0, -9.0]], np.float32)
    boxes = np.array([[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.2, 0.2], [0.9, 0.9, 0.2, 0.2]], np.float32)
    found, scores, kinds = surest(logits, boxes, 0.5)
    np.testing.assert_allclose(
        found, [[0.4, 0.3, 0.6, 0.7], [0.4, 0.3, 0.6, 0.7], [0, 0, 0.2, 0.2]], atol=1e-6
    )
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([-3.0, -2.0, -1.0])), atol=1e-6)
    assert kinds.tolist() == [0, 1, 1]
    assert len(surest(logits, boxes, 0.99)[0]) == 0


def test_the_same_boxes_in_another_order_pass_the_gate_and_others_do_not() -> None:
    spec = (TensorSpec("boxes", "float32", (1, 5, 4)),)
    network = Network("n", torch.nn.Identity(), spec, spec, "", comparable=in_any_order)
    boxes = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(2))
    turned = boxes[:, [1, 0, 2, 4, 3]]
    assert judge(network, {"boxes": turned}, {"boxes": boxes}, "fp32").is_good
    turned[0, 2, 1] += 0.1
    assert not judge(network, {"boxes": turned}, {"boxes": boxes}, "fp32").is_good
    assert not judge(network, None, {"boxes": boxes}, "fp32").is_good


def test_what_is_no_such_detector_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "yolos"}')
    with pytest.raises(ModelError, match="of the type yolos") as caught:
        read_detr(tmp_path)
    assert "rt_detr_v2" in caught.value.hint
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        read_detr(tmp_path)
    (tmp_path / "config.json").write_text((folders["d_fine"] / "config.json").read_text())
    with pytest.raises(ModelCorrupt, match="cannot be used"):
        read_detr(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 99)
    with pytest.raises(ModelCorrupt, match="cannot be used"):
        read_detr(tmp_path)
