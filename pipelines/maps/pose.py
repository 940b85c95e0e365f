"""How a person stands: the map "pose", a skeleton in OpenPose's colours, as control nets know it.

A model that finds joints inside a box (ViTPose) needs a box. It begins with the whole view and then follows
the person: the next frame's box lies around the joints found in this one. So it draws one person, the most
visible, and no model for finding people is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from realtime.core.frame import Frame
from realtime.core.stage import Live, StageContext, StageSpec

from .base import ModelConfig, ModelStage, Pixels
from .skeleton import JOINTS, drawn

PADDING = 1.25
"""How much larger than the person the box is that the model is shown."""
LEAST_JOINTS = 4
"""A person of whom fewer joints are seen is lost, and is looked for in the whole view again."""
Box = tuple[float, float, float, float]
"""Centre x and y, width and height, in pixels."""
Joints = npt.NDArray[np.float32]
"""(17, 3): x and y in pixels of the view, and how sure, 0 to 1; in COCO's order."""


class PoseConfig(ModelConfig):
    """Say how a pose is seen."""

    confidence: Annotated[float, Live()] = Field(
        0.3, ge=0.0, le=1.0, description="Joints that the model is less sure of are not drawn."
    )


class PoseMaker:
    """Run a pose model on the box around a person."""

    def __init__(self, folder: Path, config: ModelConfig, ctx: StageContext) -> None:
        from pipelines.engines.choose import choose
        from realtime.core.errors import ModelError

        from .nets.seeing import read_seeing

        ctx.report(f"Reading the pose model {folder.name}.")
        seeing = read_seeing(folder, "pose", "VitPoseForPoseEstimation", "heatmaps", ("vitpose",))
        joints = seeing.network.outputs[0].dims[1]
        if joints != JOINTS:
            raise ModelError(
                f"{folder.name} knows {joints} joints of a body.",
                hint=f"Use one that was made for COCO's {JOINTS}, such as vitpose-base-simple.",
            )
        self.size = (seeing.width_px, seeing.height_px)
        self._engine = choose(
            seeing.network,
            wanted=config.engine,
            precision=config.precision,
            example=seeing.example(),
            report=ctx.report,
        )

    def joints(self, pixels: Pixels, box: Box) -> Joints:
        """Return the joints of the person inside `box`."""
        import torch

        to_view = frame_of(box, self.size)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        shown: Any = cv2.warpAffine(pixels, to_view, self.size, flags=flags)
        planes = np.ascontiguousarray(shown.transpose(2, 0, 1)[None], np.float32) / np.float32(255.0)
        found = self._engine.run(picture=torch.from_numpy(planes))["map"]
        peaks = peaks_of(found[0].float().cpu().numpy())
        scale = self.size[0] / found.shape[-1]
        places = (peaks[:, :2] + 0.5) * scale - 0.5
        points = places @ to_view[:, :2].T + to_view[:, 2]
        return np.concatenate([points, peaks[:, 2:]], axis=1).astype(np.float32)

    def close(self) -> None:
        self._engine.close()


class PoseStage(ModelStage):
    """Put the map "pose" beside each frame."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="pose",
        takes=Frame,
        gives=Frame,
        config=PoseConfig,
        lane="see",
        models=("model",),
        says="Sees how a person stands, with a pose model, and passes the picture on.",
    )
    remedy = (
        "`hf download usyd-community/vitpose-base-simple` gets one; then set stages.pose.model = "
        '"hub:usyd-community/vitpose-base-simple".'
    )

    def __init__(self) -> None:
        super().__init__()
        self._box: Box | None = None

    def load(self, folder: Path, config: Any, ctx: StageContext) -> PoseMaker:
        return PoseMaker(folder, config, ctx)

    def map_of(self, frame: Frame) -> Pixels:
        whole = (frame.width_px / 2, frame.height_px / 2, float(frame.width_px), float(frame.height_px))
        joints = self._maker.joints(frame.pixels, self._box or whole)
        least = self._config.confidence
        self._box = box_around(joints, least)
        return drawn(joints, least, frame.height_px, frame.width_px)

    def reset(self) -> None:
        self._box = None


def frame_of(box: Box, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the map (2, 3) from pixels of a picture of `size` (width, height) to those of the view.

    The picture is the smallest of its shape that holds the box.
    """
    x, y, width, height = box
    scale = max(width / size[0], height / size[1], 1e-6)
    left, top = x - scale * size[0] / 2, y - scale * size[1] / 2
    half = scale / 2 - 0.5  # pixels are counted at their middle
    return np.array([[scale, 0.0, left + half], [0.0, scale, top + half]])


def peaks_of(heat_KHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return where each map is highest, and how high: (K, 3), x and y in its cells.

    A quarter of a cell towards the higher neighbour (Newell et al. 2016, arXiv:1603.06937).
    """
    count, height, width = heat_KHW.shape
    found = np.zeros((count, 3))
    for heat, one in zip(heat_KHW, found, strict=True):
        y, x = divmod(int(heat.argmax()), width)
        one[:] = x, y, min(max(float(heat[y, x]), 0.0), 1.0)
        if 0 < x < width - 1:
            one[0] += 0.25 * np.sign(heat[y, x + 1] - heat[y, x - 1])
        if 0 < y < height - 1:
            one[1] += 0.25 * np.sign(heat[y + 1, x] - heat[y - 1, x])
    return found


def box_around(joints: Joints, least: float) -> Box | None:
    """Return the box around the joints that are seen, with room to move; None when too few are."""
    seen = joints[joints[:, 2] >= least, :2]
    if len(seen) < LEAST_JOINTS:
        return None
    low, high = seen.min(0), seen.max(0)
    x, y = (low + high) / 2
    width, height = np.maximum((high - low) * PADDING, 8.0)
    return float(x), float(y), float(width), float(height)
