"""Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it: flow that a processor can pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from .value import Field

Pixels = npt.NDArray[np.uint8]
PRESETS: Mapping[str, int] = {
    "dis-ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "dis-fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "dis-medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


class Estimator(Protocol):
    """Find the flow between pictures of one size. What it made of a picture is kept for the next one."""

    name: str

    def seen(self, pixels: Pixels) -> Any:
        """Return what `flow` needs of a picture (H, W, 3)."""

    def flow(self, before: Any, now: Any) -> Field:
        """Return how far what is at each pixel of `before` has gone in `now`, (H, W, 2)."""


class Dis:
    """Look for patches on finer and finer pictures, then smooth. Any sides from 32 px on."""

    def __init__(self, name: str = "dis-fast") -> None:
        self.name = name
        self._dis = cv2.DISOpticalFlow.create(PRESETS[name])

    def seen(self, pixels: Pixels) -> Pixels:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)

    def flow(self, before: Pixels, now: Pixels, guess: Field | None = None) -> Field:
        """Search from `guess` on, where there is one: it finds further motion."""
        begin: Any = None if guess is None else guess.copy()
        return np.asarray(self._dis.calc(before, now, begin), np.float32)
