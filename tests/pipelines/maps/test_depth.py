"""Depth comes from a model or not at all; near is bright, and its range does not jump."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import transformers

from pipelines.maps.depth import DepthConfig, DepthStage, ranged
from realtime.core.errors import ModelError
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests.pipelines.maps.models import make_depth, make_pose
from tests.vocabulary import make_frame, run_stage


def config(folder: Path, **more: float) -> DepthConfig:
    return DepthConfig(model=str(folder), engine="torch", precision="fp32", **more)


@pytest.mark.parametrize("kind", ["depth_anything", "dpt", "glpn"])
def test_the_map_is_what_the_model_says_drawn_out_over_the_view(tmp_path: Path, kind: str) -> None:
    folder = make_depth(tmp_path / kind, kind)
    frame = make_frame(1, height_px=48, width_px=80)
    (out,) = run_stage(DepthStage(), [frame], config=config(folder))
    depth = out.value.maps["depth"]
    assert depth.shape == (48, 80)
    assert depth.dtype == np.float32

    model = transformers.AutoModelForDepthEstimation.from_pretrained(str(folder)).eval()
    side = {"depth_anything": 28, "dpt": 32, "glpn": 64}[kind]
    shown = cv2.resize(frame.pixels, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if kind != "glpn":
        shown = (shown - 0.5) / 0.25
    with torch.inference_mode():
        raw = model(torch.from_numpy(shown.transpose(2, 0, 1)[None].copy())).predicted_depth[0].numpy()
    near = 1 / np.maximum(raw, 1e-3) if kind == "glpn" else raw  # metres: near is small
    exact = cv2.resize(near, (80, 48))
    assert np.corrcoef(depth.ravel(), exact.ravel())[0, 1] > 0.98
    assert depth.max() - depth.min() > 0.8


def test_without_a_model_no_map_is_made_up_and_it_is_told_how_to_get_one() -> None:
    told: list[str] = []
    frame = make_frame(1)
    (out,) = run_stage(DepthStage(), [frame], config=DepthConfig(), ctx=StageContext(report=told.append))
    assert out.value is frame
    assert out.note == "no map was made: there is no model"
    assert len(told) == 1
    assert "hf download" in told[0]
    assert "stages.depth.model" in told[0]


def test_the_range_is_carried_over_and_forgotten_with_the_stream(tmp_path: Path) -> None:
    dim, bright = (
        np.linspace(0, 1, 100, dtype=np.float32)[None],
        np.linspace(4, 5, 100, dtype=np.float32)[None],
    )
    first = ranged(dim, None, 0.8)
    second = ranged(bright, first, 0.8)
    assert first == pytest.approx((0.01, 0.99), abs=0.02)
    assert second == pytest.approx((0.8 * first[0] + 0.2 * 4.01, 0.8 * first[1] + 0.2 * 4.99), abs=0.02)
    assert ranged(bright, first, 0.0) == ranged(bright, None, 0.8)
    stage = DepthStage()
    stage.configure(config(make_depth(tmp_path / "depth"), steadiness=0.9))
    stage.open(StageContext())
    frames = [make_frame(seq, height_px=28, width_px=28) for seq in range(2)]
    before = [stage.process(frame)[0].value.maps["depth"] for frame in frames]
    stage.reset()
    after = stage.process(frames[1])[0].value.maps["depth"]
    assert np.abs(before[1] - after).max() > 0.01
    stage.reset()
    assert np.array_equal(stage.process(frames[0])[0].value.maps["depth"], before[0])
    stage.close()


def test_a_model_of_another_kind_or_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    stage = DepthStage()
    for model, says in (
        (make_pose(tmp_path / "pose"), "of the type vitpose, from which depth is not made"),
        (tmp_path / "none", "There is no folder"),
    ):
        stage.configure(config(model))
        with pytest.raises(ModelError, match=says):
            stage.open(StageContext())
    torn = make_depth(tmp_path / "torn")
    (torn / "model.safetensors").write_bytes(b"torn")
    stage.configure(config(torn))
    with pytest.raises(ModelError, match="torn cannot be used"):
        stage.open(StageContext())


def test_sessions_share_the_model_and_openvino_runs_it(tmp_path: Path) -> None:
    folder, made = make_depth(tmp_path / "depth"), dict[str, object]()

    def share(key: str, make):  # type: ignore[no-untyped-def]
        return made.setdefault(key, None) or made.__setitem__(key, make()) or made[key]

    stages = [DepthStage() for _ in range(2)]
    frame: Frame = make_frame(1, height_px=28, width_px=28)
    for stage in stages:
        stage.configure(DepthConfig(model=str(folder), engine="openvino", precision="fp32"))
        stage.open(StageContext(shared=share))
    assert len(made) == 1
    fast, plain = stages[0].process(frame)[0], run_stage(DepthStage(), [frame], config=config(folder))[0]
    assert np.abs(fast.value.maps["depth"] - plain.value.maps["depth"]).max() < 1e-3
