"""What the lane `see` costs the painter: its frame rate with and without, taking turns in one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._measure import median
from benchmarks.paint import PICTURES, House, Session
from perception.detect import DetectConfig, DetectStage
from perception.overlay.config import OverlayConfig
from perception.overlay.stage import OverlayStage
from pipelines.diffusion.config import PaintConfig
from realtime.core.nodes import Node

WARM_S = 6.0


class Live(Session):
    """A session that somebody watches: only then a detector rests."""

    is_live = True


class Seeing(Live):
    """A session that sees too."""

    def nodes(self, config: PaintConfig) -> list[Node]:
        self.detect = DetectStage()
        return [
            *super().nodes(config),
            Node("detect", self.detect, DetectStage.spec, DetectConfig()),
            Node("overlay", OverlayStage(), OverlayStage.spec, OverlayConfig(), "paint", ("detect",)),
        ]


def paint_loss(rounds: int = 7, seconds: float = 4.0) -> dict[str, Any]:
    """Return the share of the painter's frame rate that seeing costs, the median of pairs that take turns.

    Pictures come as fast as the painter takes them, so that both cores are busy all the time.
    """
    house, config = House(), PaintConfig(prompt="pencil sketch", skip_still=False)
    pictures = [photo_with_person(k) for k in range(PICTURES)]
    alone, seeing = Live(house, config, "alone"), Seeing(house, config, "seeing")
    try:
        for session in (alone, seeing):
            session.feed(pictures, WARM_S)
        pairs = []
        for turn in range(rounds):
            order = (alone, seeing) if turn % 2 == 0 else (seeing, alone)
            rate = {session.name: session.feed(pictures, seconds) for session in order}
            pairs.append((rate["alone"], rate["seeing"]))
        done = seeing.graph.snapshot()
        info = seeing.detect.info
        found: dict[str, Any] = {
            "paint_loss": round(median([1 - beside / alone for alone, beside in pairs]), 3),
            "paint_fps": round(median([one for one, _ in pairs]), 1),
            "paint_fps_seeing": round(median([one for _, one in pairs]), 1),
            "detections_hz": round(done["detect"].rate_hz, 2),
            "detect_ms": round(done["detect"].work_ms_p50, 1),
            "overlay_ms_beside": round(done["overlay"].work_ms_p50, 2),
            "paint_detector": info.id if info is not None else "",
        }
    finally:
        for session in (alone, seeing):
            session.close()
        house.lanes.close()
    title = info.title if info is not None else "nothing"
    print(
        f"\nthe painter alone {found['paint_fps']} pictures a second, {found['paint_fps_seeing']} with "
        f"{title} beside it: {100 * found['paint_loss']:.1f} % less",
        flush=True,
    )
    return found


def photo_with_person(k: int) -> Any:
    """Return picture `k` of a person who moves sideways, 640x480."""
    import cv2
    from skimage import data

    room: Any = cv2.resize(data.coffee(), (640, 480)) // 2 + 60
    left = round(170 + 120 * np.sin(2 * np.pi * k / PICTURES))
    room[140:440, left : left + 300] = cv2.resize(data.astronaut(), (300, 300))
    return room
