"""How near each pixel is, by a depth model: the map "depth", 1 for the nearest and 0 for the farthest.

The whole view is squeezed into the model's own square and the answer is drawn out again. Models tell depth up
to a range of their own, which wanders from frame to frame; here the range is carried over, so that a still
scene does not pump.
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

KINDS = ("dpt", "depth_anything", "glpn")
METRIC = ("glpn",)
"""Model types that tell metres, so that near is small."""
LOW, HIGH = 1.0, 99.0
"""Percentiles that are drawn as 0 and 1."""
Depth = npt.NDArray[np.float32]


class DepthConfig(ModelConfig):
    """Say how depth is seen."""

    steadiness: Annotated[float, Live()] = Field(
        0.8, ge=0.0, le=0.99, description="Share of the range of depths that is kept from frame to frame."
    )


class DepthMaker:
    """Run a depth model: a picture to nearness on an open scale, larger is nearer."""

    def __init__(self, folder: Path, config: ModelConfig, ctx: StageContext) -> None:
        from pipelines.engines.choose import choose

        from .nets.seeing import read_seeing

        ctx.report(f"Reading the depth model {folder.name}.")
        seeing = read_seeing(folder, "depth", "AutoModelForDepthEstimation", "predicted_depth", KINDS)
        told = getattr(seeing.model.config, "depth_estimation_type", "relative")
        self._is_metric = seeing.kind in METRIC or told == "metric"
        self._size = (seeing.width_px, seeing.height_px)
        self._engine = choose(
            seeing.network,
            wanted=config.engine,
            precision=config.precision,
            example=seeing.example(),
            report=ctx.report,
        )

    def nearness(self, pixels: Pixels) -> Depth:
        """Return how near a picture's parts are, (h, w), larger is nearer."""
        import torch

        shown: Any = cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA)
        planes = np.ascontiguousarray(shown.transpose(2, 0, 1)[None], np.float32) / np.float32(255.0)
        found = self._engine.run(picture=torch.from_numpy(planes))["map"]
        depth = np.array(found[0].float().cpu().numpy(), np.float32)
        return np.asarray(1.0 / np.maximum(depth, 1e-3), np.float32) if self._is_metric else depth

    def close(self) -> None:
        self._engine.close()


class DepthStage(ModelStage):
    """Put the map "depth" beside each frame."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="depth",
        takes=Frame,
        gives=Frame,
        config=DepthConfig,
        lane="see",
        models=("model",),
        says="Sees how near things are, with a depth model, and passes the picture on.",
    )
    remedy = (
        "`hf download depth-anything/Depth-Anything-V2-Small-hf` gets one; then set stages.depth.model = "
        '"hub:depth-anything/Depth-Anything-V2-Small-hf".'
    )

    def __init__(self) -> None:
        super().__init__()
        self._range: tuple[float, float] | None = None

    def load(self, folder: Path, config: Any, ctx: StageContext) -> DepthMaker:
        return DepthMaker(folder, config, ctx)

    def map_of(self, frame: Frame) -> Depth:
        near = self._maker.nearness(frame.pixels)
        self._range = ranged(near, self._range, self._config.steadiness)
        low, high = self._range
        drawn = ((near - low) / max(high - low, 1e-6)).clip(0.0, 1.0)
        size = (frame.width_px, frame.height_px)
        full: Any = cv2.resize(drawn.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(full, np.float32).clip(0.0, 1.0)

    def reset(self) -> None:
        self._range = None


def ranged(near: Depth, before: tuple[float, float] | None, steadiness: float) -> tuple[float, float]:
    """Return which values are drawn as 0 and 1: this frame's, mixed with those of the frame `before`."""
    low, high = (float(value) for value in np.percentile(near[::2, ::2], (LOW, HIGH)))
    if before is None:
        return low, high
    kept = steadiness
    return kept * before[0] + (1 - kept) * low, kept * before[1] + (1 - kept) * high
