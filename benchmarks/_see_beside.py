"""What the lane `see` costs the painter: its frame rate with and without, taking turns in one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._measure import median
from benchmarks.paint import House, Session
from perception.detect import DetectConfig, DetectStage
from perception.overlay.stage import OverlayConfig, OverlayStage
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.nodes import Node
from realtime.core.stage import StageContext

WARM_S = 2.0
HELD = 4


class Seeing(Session):
    """A session that sees too, and is watched while it does: its detector rests as it would for a person."""

    nodes = ("paint", "detect", "overlay")

    def made(self, config: PaintConfig) -> list[Node]:
        self.detect = DetectStage()
        return [
            Node("paint", self.stage, PaintStage.spec, config),
            Node("detect", self.detect, DetectStage.spec, DetectConfig()),
            Node("overlay", OverlayStage(), OverlayStage.spec, OverlayConfig(), "paint", ("detect",)),
        ]


def paint_loss(pictures: Sequence[np.ndarray], rounds: int, seconds: float) -> dict[str, Any]:
    """Return the share of the painter's frame rate that seeing costs, the median over `rounds` pairs.

    Pictures come as fast as the painter takes them, so that both cores are busy all the time.
    """
    house = House()
    config = PaintConfig(similarity=False) if "similarity" in PaintConfig.model_fields else PaintConfig()
    alone, seeing = Session(house, config, "alone"), Seeing(house, config, "seeing")
    try:
        for session in (alone, seeing):
            session.feed(pictures, WARM_S)
        pairs = []
        for turn in range(rounds):
            order = (alone, seeing) if turn % 2 == 0 else (seeing, alone)
            rate = {session.name: session.feed(pictures, seconds) for session in order}
            pairs.append((rate["alone"], rate["seeing"]))
        snapshot = seeing.graph.snapshot()
        return {
            "paint_loss": round(median([1 - with_it / without for without, with_it in pairs]), 3),
            "fps_alone": round(median([one for one, _ in pairs]), 1),
            "fps_seeing": round(median([one for _, one in pairs]), 1),
            "detections_hz": round(snapshot["detect"].rate_hz, 2),
            "detect_ms": round(snapshot["detect"].work_ms_p50, 1),
            "overlay_ms": round(snapshot["overlay"].work_ms_p50, 2),
            "detector": seeing.detect.info.id if seeing.detect.info else "",
        }
    finally:
        for session in (alone, seeing):
            session.close()
        house.close()
