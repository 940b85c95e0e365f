"""Noise that goes with the picture: without it a moving thing is painted through noise that stands still."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from .config import PaintConfig
from .features import Draft, Nothing
from .motion import Map, chained


class MovingNoise(Nothing):
    """Follow the noise of one session from where it began. What came into view begins anew where it is."""

    def __init__(self) -> None:
        self._way_SS2: Map | None = None
        self._seq: int | None = None
        """Of the picture that the noise was painted with last."""

    def key(self, config: PaintConfig) -> Hashable | None:
        return () if config.warp_noise or config.coherence > 0 else None

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        if not config.warp_noise and draft.levels is not None and draft.levels.translates:
            return  # its strokes hardly come from the noise; to move it changes more than it calms
        side = int(draft.reference_1CHW.shape[-1])
        seq, before = draft.frame.stamp.seq, self._seq
        self._seq = seq
        way = None if before is None else draft.ways.between(before, seq)
        if way is None:
            self._way_SS2 = None  # begin anew
            return
        way = way.to(side)
        way_SS2 = self._way_SS2
        if way_SS2 is None or len(way_SS2) != side:
            way_SS2 = np.zeros((side, side, 2), np.float32)
        way_SS2 = chained(way.flow_SS2, way_SS2) * (way.visible_SS[..., None] >= 0.5)
        self._way_SS2 = draft.way_SS2 = np.asarray(way_SS2, np.float32)

    def reset(self) -> None:
        self._way_SS2 = self._seq = None
