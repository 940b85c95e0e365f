"""Stages that share their painters, as in the application, and how near two pictures are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.clock import ManualClock
from realtime.core.stage import Emitted, StageContext
from tests.pipelines.diffusion.vocabulary import Oracle

SIDE = 192
"""The smallest side that settings allow."""


class House:
    """Make stages that share their painters, as the application does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Any] = {}
        self.reports: list[str] = []

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def config(self, **wish: Any) -> PaintConfig:
        plain = {
            "model": str(self.folder),
            "engine": "torch",
            "precision": "fp32",
            "size_px": SIDE,
            "prompt": "oil",
        }
        return PaintConfig(**{**plain, **wish})

    def open(self, session: str = "one", **wish: Any) -> PaintStage:
        stage = PaintStage()
        stage.configure(self.config(**wish))
        stage.open(self.context(session))
        return stage

    def context(self, session: str = "one") -> StageContext:
        return StageContext(session, ManualClock(), self.shared, self.reports.append)


def drained(stage: PaintStage) -> list[Emitted]:
    """Return what comes out when nothing more goes in."""
    out: list[Emitted] = []
    while stage.batch:
        out += stage.process(None)
    return out


def alone(
    oracle: Oracle, pixels: np.ndarray, stage: PaintStage, prompt: str = "oil", **how: Any
) -> np.ndarray:
    steps, seed = how.get("steps", 1), how.get("seed", 2)
    return oracle.decode(oracle.paint(pixels, prompt, stage.painter.levels.timesteps(steps, 0.5), seed=seed))


def off(pixels: np.ndarray, exact: np.ndarray) -> float:
    """Return the largest distance from the unrounded picture in grey levels; 0.5 is rounding itself."""
    return float(np.abs(pixels - exact).max())


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two pictures are the same but for rounding."""
    return int(np.abs(one.astype(int) - other).max()) <= 1
