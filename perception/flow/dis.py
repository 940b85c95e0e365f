"""Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it: flow that a processor can pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from .estimator import Pixels, Ways
from .value import Field

PRESETS: Mapping[str, int] = {
    "dis-ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "dis-fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "dis-medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


class Dis:
    """Look for patches on finer and finer pictures, then smooth. Any sides from 32 px on."""

    at_once = 1

    def __init__(self, name: str = "dis-fast") -> None:
        self.name, self.says = name, "OpenCV"
        self._dis = cv2.DISOpticalFlow.create(PRESETS[name])

    def seen(self, pixels: Pixels) -> Pixels:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)

    def flow(self, before: Pixels, now: Pixels, guess: Field | None = None) -> Field:
        """Search from `guess` on, where there is one: it finds further motion."""
        begin: Any = None if guess is None else guess.copy()
        return np.asarray(self._dis.calc(before, now, begin), np.float32)

    def ways(self, seen: Sequence[Pixels]) -> list[Ways]:
        return [Ways(self.flow(one, other), self.flow(other, one)) for one, other in pairwise(seen)]

    def reset(self) -> None:
        """Forget nothing: pairs are all that it knows."""

    def close(self) -> None:
        """Hold nothing."""
