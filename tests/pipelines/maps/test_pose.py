"""Joints come back in the view's own pixels, the box follows the person, the drawing is OpenPose's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import transformers

from pipelines.maps import pose, skeleton
from pipelines.maps.pose import PoseConfig, PoseMaker, PoseStage
from realtime.core.errors import ModelError
from realtime.core.stage import StageContext
from tests.pipelines.maps.models import make_depth, make_pose
from tests.vocabulary import make_frame, run_stage

MAN = np.array(
    [
        (100, 30), (106, 26), (94, 26), (112, 28), (88, 28), (124, 60), (76, 60), (134, 90), (66, 90),
        (138, 120), (62, 120), (116, 130), (84, 130), (118, 170), (82, 170), (120, 210), (80, 210),
    ],
    np.float32,
)  # fmt: skip


def standing(sure: float = 0.9) -> np.ndarray:
    return np.concatenate([MAN, np.full((17, 1), sure, np.float32)], axis=1)


def config(folder: Path, **more: float) -> PoseConfig:
    return PoseConfig(model=str(folder), engine="torch", precision="fp32", **more)


def test_joints_are_found_where_the_models_heat_is_highest(tmp_path: Path) -> None:
    folder = make_pose(tmp_path / "pose")
    maker = PoseMaker(folder, config(folder), StageContext())
    frame = make_frame(1, height_px=64, width_px=48)
    joints = maker.joints(frame.pixels, (24.0, 32.0, 48.0, 64.0))  # the box is the view: nothing is moved
    model = transformers.VitPoseForPoseEstimation.from_pretrained(str(folder)).eval()
    mean, std = (np.float32(v) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    shown = ((frame.pixels.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)[None]
    with torch.inference_mode():
        heat = model(torch.from_numpy(shown.copy())).heatmaps[0].numpy()
    for one, (x, y, _) in zip(heat, joints, strict=True):
        cell_y, cell_x = divmod(int(one.argmax()), one.shape[1])
        scale = 48 / one.shape[1]
        assert abs(x - ((cell_x + 0.5) * scale - 0.5)) <= 0.3 * scale
        assert abs(y - ((cell_y + 0.5) * scale - 0.5)) <= 0.3 * scale


def test_a_box_anywhere_and_of_any_shape_is_mapped_there_and_back() -> None:
    picture = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(picture, (200, 120), 5, (255, 255, 255), -1)
    size = (48, 64)
    to_view = pose.frame_of((190.0, 100.0, 60.0, 120.0), size)
    shown: Any = cv2.warpAffine(picture, to_view, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    y, x = (where.mean() for where in np.nonzero(shown[..., 0] > 127))
    assert to_view @ [x, y, 1] == pytest.approx([200, 120], abs=1.0)


def test_a_peak_leans_towards_its_higher_neighbour() -> None:
    heat = np.zeros((1, 8, 8), np.float32)
    heat[0, 3, 4], heat[0, 3, 5], heat[0, 2, 4] = 0.9, 0.5, 0.4
    assert pose.peaks_of(heat)[0] == pytest.approx([4.25, 2.75, 0.9])


class Scripted:
    """Stand for a model: keep the boxes that are asked for, say what is in the script."""

    def __init__(self, *script: np.ndarray) -> None:
        self.script, self.boxes = list(script), list[Any]()

    def joints(self, pixels: np.ndarray, box: Any) -> np.ndarray:
        self.boxes.append(box)
        return self.script.pop(0)

    def close(self) -> None: ...


def test_the_box_follows_the_person_and_starts_anew_when_they_are_lost() -> None:
    stage, maker = PoseStage(), Scripted(standing(), standing(0.1), standing(), standing())
    stage._maker = maker
    frames = [make_frame(seq, height_px=240, width_px=320) for seq in range(4)]
    maps = [stage.process(frame)[0].value.maps["pose"] for frame in frames[:3]]
    stage.reset()
    stage.process(frames[3])
    whole = (160.0, 120.0, 320.0, 240.0)
    assert maker.boxes[0] == maker.boxes[2] == maker.boxes[3] == whole
    assert maker.boxes[1] == pytest.approx((100.0, 118.0, 76 * pose.PADDING, 184 * pose.PADDING))
    assert maps[0].any()
    assert not maps[1].any()  # nothing sure, nothing drawn


def test_the_skeleton_is_openposes() -> None:
    picture = skeleton.drawn(standing(), 0.3, 240, 200)
    assert picture.shape == (240, 200, 3)
    wheel = [skeleton.colour(k) for k in (0, 1, 3, 6, 12, 17)]
    assert wheel == [(255, 0, 0), (255, 85, 0), (255, 255, 0), (0, 255, 0), (0, 0, 255), (255, 0, 85)]
    assert tuple(picture[30, 100]) == (255, 0, 0)  # the nose
    assert tuple(picture[60, 100]) == (255, 85, 0)  # the neck, between the shoulders
    assert tuple(picture[120, 62]) == skeleton.colour(4)  # the right wrist
    assert tuple(picture[120, 138]) == skeleton.colour(7)  # the left one
    limb = picture[75, 71]  # on the right upper arm
    assert tuple(limb) == tuple(round(0.6 * part) for part in skeleton.colour(2))
    without = standing()
    without[10, 2] = 0.1
    hidden = skeleton.drawn(without, 0.3, 240, 200)
    assert not hidden[112:128, 58:64].any()
    assert (hidden != picture).any()


def test_without_a_model_no_pose_is_made_up_and_others_are_refused(tmp_path: Path) -> None:
    told: list[str] = []
    frame = make_frame(1)
    (out,) = run_stage(PoseStage(), [frame], config=PoseConfig(), ctx=StageContext(report=told.append))
    assert out.value is frame
    assert "hf download" in told[0]
    for model, says in (
        (make_depth(tmp_path / "depth"), "from which pose is not made"),
        (make_pose(tmp_path / "hand", joints=21), "knows 21 joints"),
    ):
        stage = PoseStage()
        stage.configure(config(model))
        with pytest.raises(ModelError, match=says):
            stage.open(StageContext())


def test_a_real_frame_goes_through(tmp_path: Path) -> None:
    frame = make_frame(1, height_px=90, width_px=160)
    (out,) = run_stage(PoseStage(), [frame], config=config(make_pose(tmp_path / "pose"), confidence=0.0))
    assert out.value.maps["pose"].shape == (90, 160, 3)
    assert out.value.maps["pose"].any()
