"""What a detector is: pictures of one stream in, boxes out. It knows neither tracks nor lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from perception.scene import Detections

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """Say which detector it is, for page, doctor and event log."""

    id: str
    """As settings name it: "nanodet-g", "blazeface", or what a person typed."""
    title: str
    names: tuple[str, ...]
    """What it can tell apart."""
    engine: str = ""
    """What runs it, e.g. "openvino fp32"."""
    why: str = ""
    """One sentence: why this one was taken; empty where it was asked for by name."""


class Detector(Protocol):
    """Find things in the pictures of one stream. One thread at a time."""

    info: DetectorInfo

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        """Return what is in a picture (H, W, 3) RGB of any size: at most `most` boxes of a score from
        `least_score` on, the surest first. `captured_ns` tells a detector that sees time how far apart
        pictures are; others ignore it.
        """

    def expect(self, delay_s: float) -> None:
        """Hear how long after a picture was taken its boxes are usually shown: the horizon of a detector that
        forecasts. Others ignore it.
        """

    def reset(self) -> None:
        """Forget the stream, keep the engine."""

    def close(self) -> None:
        """Let go of what is this stream's own. Engines are shared and stay."""
