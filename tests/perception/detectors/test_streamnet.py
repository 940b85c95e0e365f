"""The streaming detector: caching, streams apart, what makes it begin anew, engines, foreign checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.detectors.base import DetectorInfo
from perception.detectors.streamnet import PREFIX, StreamNetDetector, StreamNets, load_streamnet
from perception.detectors.streamnet_rows import boxes_in, fitted
from perception.nets.streamnet.model import PLANS, DamoStreamNet
from perception.nets.streamnet.weights import from_checkpoint, from_folder
from perception.scene import Detections
from pipelines.models.store import locate, verify
from realtime.core.errors import ModelError, ModelMissing

NAMES = ("ball", "box", "triangle", "star", "ring", "cross")
STEP_NS = 33_000_000


def no_words(sentence: str) -> None: ...


@pytest.fixture(scope="module")
def ours() -> DamoStreamNet:
    return from_folder(locate("streamnet"))[0]


@pytest.fixture(scope="module")
def nets() -> StreamNets:
    return StreamNets(from_folder(locate("streamnet"))[0], "", 128, "torch", "fp32", no_words)


def detector(nets: StreamNets) -> StreamNetDetector:
    return StreamNetDetector(nets, DetectorInfo("streamnet", "", NAMES))


def pictures(count: int, seed: int = 0, size: tuple[int, int] = (128, 96)) -> list[np.ndarray]:
    """Return a soft picture with a disc that moves 5 px a frame."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    back = 40 + 60 * np.sin(x / 17 + seed)[..., None] + draw.uniform(0, 60, 3)
    found = []
    for k in range(count):
        inside = (x - 30 - 5 * k) ** 2 + (y - 50) ** 2 < 18**2
        found.append(np.where(inside[..., None], (230, 60, 40), back).clip(0, 255).astype(np.uint8))
    return found


def fed(one: StreamNetDetector, stream: list[np.ndarray], least: float = 0.0) -> list[Detections]:
    return [
        one.detect(pixels, 1 + STEP_NS * k, least_score=least, most=20) for k, pixels in enumerate(stream)
    ]


def differ(one: Detections, other: Detections) -> float:
    """Return how far the surest boxes and their scores lie apart."""
    return float(
        max(
            np.abs(one.xyxy_N4[:5] - other.xyxy_N4[:5]).max(),
            np.abs(one.scores_N[:5] - other.scores_N[:5]).max(),
        )
    )


@pytest.mark.parametrize("step", [1, 2])
def test_cached_is_recomputed(nets: StreamNets, step: int) -> None:
    one, stream = detector(nets), pictures(8)
    one.expect(step * STEP_NS / 1e9)
    last = fed(one, stream)[-1]
    maps = [nets.encode(fitted(stream[7 - step * k], 128).picture_13HW) for k in range(4) if step * k < 8]
    rows = nets.predict(maps[0], maps[1:])
    boxes, scores, _ = boxes_in(rows, (128, 96), (128, 96), 0.0, 20)
    assert np.abs(last.xyxy_N4 - boxes).max() <= 1e-5
    assert np.abs(last.scores_N - scores).max() <= 1e-5
    assert last.ahead_s == pytest.approx(step * STEP_NS / 1e9)


def test_history_counts(nets: StreamNets) -> None:
    one, stream = detector(nets), pictures(6)
    with_past = fed(one, stream)[-1]
    one.reset()
    without = one.detect(stream[-1], 1, least_score=0.0, most=20)
    assert without.ahead_s == 0.0
    assert differ(with_past, without) > 1e-3


def test_two_streams_do_not_leak_into_each_other(nets: StreamNets) -> None:
    one, two = pictures(5, 1), pictures(5, 2)
    alone = fed(detector(nets), one)
    a, b = detector(nets), detector(nets)
    for k in range(5):
        seen = a.detect(one[k], 1 + STEP_NS * k, least_score=0.0, most=20)
        b.detect(two[k], 1 + STEP_NS * k, least_score=0.0, most=20)
        assert np.array_equal(seen.xyxy_N4, alone[k].xyxy_N4)


@pytest.mark.parametrize("torn", ["size", "seek", "gap"])
def test_a_stream_that_is_torn_begins_anew(nets: StreamNets, torn: str) -> None:
    one, stream = detector(nets), pictures(5)
    fed(one, stream)
    pixels, at_ns = stream[2], STEP_NS * 6
    if torn == "size":
        pixels = pictures(1, size=(96, 128))[0]
    else:
        at_ns = 5 if torn == "seek" else 2_000_000_000
    seen = one.detect(pixels, at_ns, least_score=0.0, most=20)
    fresh = detector(nets).detect(pixels, at_ns, least_score=0.0, most=20)
    assert seen.ahead_s == 0.0
    assert np.array_equal(seen.xyxy_N4, fresh.xyxy_N4)


def test_a_black_picture_is_calm(nets: StreamNets) -> None:
    found = fed(detector(nets), [np.zeros((96, 128, 3), np.uint8)] * 4, least=0.5)
    assert all(len(one) == 0 for one in found)


@pytest.mark.parametrize("engine", ["openvino", pytest.param("onnx", marks=pytest.mark.nightly)])
def test_engines_say_what_torch_says(ours: DamoStreamNet, nets: StreamNets, engine: str) -> None:
    other = StreamNets(from_folder(locate("streamnet"))[0], "", 128, engine, "fp32", no_words)
    for size in ((128, 96), (96, 96)):  # the same graph at another size
        a, b = (fed(detector(one), pictures(4, size=size))[-1] for one in (nets, other))
        assert differ(a, b) < 1e-3
    assert other.says == f"{engine} fp32"
    other.close()


def test_the_embedded_one_is_whole_and_loads() -> None:
    held: dict[str, Any] = {}

    def shared(key: str, make: Callable[[], Any]) -> Any:
        return held.setdefault(key, held.get(key) or make())

    one = load_streamnet(shared, "torch")
    assert one.info.names == NAMES
    assert one.info.engine.startswith("torch")
    again = load_streamnet(shared, "torch")
    assert len(held) == 1  # engines are shared, streams are not
    assert again is not one
    assert verify("streamnet") == []


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """Return a file as the published training writes it, of size S, with random weights."""
    torch.manual_seed(5)
    state = DamoStreamNet(PLANS["s"]).state_dict()
    path = tmp_path_factory.mktemp("published") / "s.pth"
    teacher = {
        "backbone_t.backbone.stem.conv.conv.weight": torch.ones(2),
        "head_t.stems.0.conv.weight": torch.ones(1),
    }
    torch.save({"start_epoch": 8, "model": {**state, **teacher}}, path)
    return path, state


def test_a_published_checkpoint_loads_in_full(published: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, state = published
    model = from_checkpoint(path)
    assert model.plan == PLANS["s"]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_published_checkpoint_runs_as_a_detector(
    published: tuple[Path, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perception.detectors.streamnet.PUBLISHED_PX", 96)
    one = load_streamnet(lambda key, make: make(), "torch", model=f"{PREFIX}{published[0]}")
    assert one.info.names[2] == "car"
    found = fed(one, pictures(2))
    assert len(found[-1]) > 0
    assert found[-1].ahead_s == pytest.approx(STEP_NS / 1e9)


def test_what_is_no_such_checkpoint_is_refused(
    published: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    _, state = published
    with pytest.raises(ModelMissing, match="There is no file"):
        from_checkpoint(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ModelError, match="no checkpoint that can be read"):
        from_checkpoint(tmp_path / "text.pth")
    torch.save({"weights": {}}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match='holds no "model"'):
        from_checkpoint(tmp_path / "other.pth")
    small = {name: value for name, value in state.items() if "stem" in name or "jian2.conv" in name}
    torch.save({"model": small}, tmp_path / "part.pth")
    with pytest.raises(ModelError, match="do not fit"):
        from_checkpoint(tmp_path / "part.pth")
