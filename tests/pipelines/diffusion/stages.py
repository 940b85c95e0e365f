"""Stages on tiny models that share their painters as the application does, and short clips to feed them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.features import Feature
from pipelines.diffusion.stage import PaintStage, paint_together
from realtime.core.clock import ManualClock
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests.pipelines.diffusion.vocabulary import picture, stamp

SIDE = 192
TIMEOUT_S = 30.0


class Stages:
    """Open stages of one model."""

    def __init__(self, folder: Path, **usual: Any) -> None:
        self.folder = folder
        self.usual = usual
        self.made: dict[str, Any] = {}
        self.reports: list[str] = []

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def config(self, **wish: Any) -> PaintConfig:
        plain = {"model": str(self.folder), "engine": "torch", "precision": "fp32", "size_px": SIDE}
        return PaintConfig(**{**plain, "prompt": "oil", "skip_still": False, **self.usual, **wish})

    def open(self, session: str = "one", **wish: Any) -> PaintStage:
        stage = PaintStage()
        stage.configure(self.config(**wish))
        stage.open(StageContext(session, ManualClock(), self.shared, self.reports.append))
        return stage

    def change(self, stage: PaintStage, **wish: Any) -> None:
        """Set other settings, and wait until what they need is ready."""
        stage.configure(self.config(**wish))
        assert stage._fitting is not None
        stage._fitting.newest(stage._config, stage._rows())
        stage.painter.build(lambda: None).result(TIMEOUT_S)


def feature(stage: PaintStage, kind: type[Any]) -> Any:
    """Return the session's own feature of a kind."""
    (found,) = [one for one in stage._features._all if isinstance(one, kind)]
    found_feature: Feature = found
    return found_feature


def painted(stage: PaintStage, pictures: Sequence[np.ndarray], first: int = 0) -> list[np.ndarray]:
    """Feed pictures, drain, and return what came out as float (H, W, 3)."""
    out = []
    for seq, pixels in enumerate(pictures, first):
        out += stage.process(Frame(stamp(seq), pixels))
    while stage.batch:
        out += stage.process(None)
    return [emitted.value.pixels.astype(np.float32) for emitted in out]


def painted_together(
    stages: Sequence[PaintStage], clips: Sequence[Sequence[np.ndarray]]
) -> list[list[np.ndarray]]:
    """Feed a clip to each of several stages in common calls, drain, and return what came out of each."""
    out: list[list[np.ndarray]] = [[] for _ in stages]
    length = len(clips[0])
    for seq in range(length + 8):
        items = [Frame(stamp(seq), clip[seq]) if seq < length else None for clip in clips]
        for mine, results in zip(out, paint_together(list(zip(stages, items, strict=True))), strict=True):
            mine += [emitted.value.pixels.astype(np.float32) for emitted in results]
    return out


def different(count: int, first: int = 0) -> list[np.ndarray]:
    """Return pictures that have nothing in common."""
    return [picture(first + k, SIDE, SIDE) for k in range(count)]


def noisy_still(count: int, sigma: float = 4.0, seed: int = 1) -> list[np.ndarray]:
    """Return one picture `count` times, each with sensor noise of its own."""
    draw = np.random.default_rng(100 + seed)
    scene = picture(seed, SIDE, SIDE).astype(np.float32)
    return [(scene + draw.normal(0, sigma, scene.shape)).clip(0, 255).astype(np.uint8) for _ in range(count)]


def apart(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """Return the largest distance of two clips in grey levels."""
    assert len(one) == len(other) > 0
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
