"""Edges of a picture as control nets know them: Canny's thin lines, or soft ones. OpenCV, no model.

The stage "edges" puts them beside the frame as the map "edges"; the painter makes them itself when no stage
did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from realtime.core.frame import Frame
from realtime.core.stage import Emitted, Live, StageContext, StageSpec

Pixels = npt.NDArray[np.uint8]
LOW, HIGH = 100, 200
"""Canny's thresholds that control nets are usually trained with."""
SMOOTHING_PX = 1.4


def edges_of(pixels: Pixels, low: int = LOW, high: int = HIGH) -> Pixels:
    """Return Canny's edges (Canny 1986) of a picture (H, W, 3): 255 on an edge, else 0, (H, W)."""
    lines: Any = cv2.Canny(pixels, low, max(low, high))
    return np.asarray(lines, np.uint8)


def soft_edges_of(pixels: Pixels, strength: float = 1.0) -> Pixels:
    """Return how steeply each pixel's lightness changes, 0 to 255, (H, W); `strength` multiplies it.

    The steepest of the three channels, after a Gaussian of 1.4 px, so that noise leaves no lines.
    """
    smooth: Any = cv2.GaussianBlur(pixels, (0, 0), SMOOTHING_PX)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    steep = np.sqrt(across * across + down * down).max(axis=2)
    return np.asarray((steep * (0.5 * strength)).clip(0, 255), np.uint8)  # a step of 255 gives about 255


class EdgesConfig(BaseModel):
    """Say how edges are found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[Literal["canny", "soft"], Live()] = Field(
        "canny", description='"canny" draws thin lines, "soft" shades by how steep the change is.'
    )
    low: Annotated[int, Live()] = Field(
        LOW, ge=0, le=1000, description="Canny: a weaker change than this is no edge."
    )
    high: Annotated[int, Live()] = Field(
        HIGH, ge=0, le=1000, description="Canny: a stronger change than this begins an edge."
    )
    gain: Annotated[float, Live()] = Field(
        1.0, ge=0.1, le=10.0, description="Soft edges: multiplies their brightness."
    )


class EdgesStage:
    """Put the map "edges" beside each frame."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="edges",
        takes=Frame,
        gives=Frame,
        config=EdgesConfig,
        lane="see",
        says="Finds edges and passes the picture on with them.",
    )

    def __init__(self) -> None:
        self._config = EdgesConfig()

    def open(self, ctx: StageContext) -> None: ...

    def configure(self, config: EdgesConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        config = self._config
        if config.kind == "canny":
            edges = edges_of(item.pixels, config.low, config.high)
        else:
            edges = soft_edges_of(item.pixels, config.gain)
        return (Emitted(item.stamp, item.with_maps(edges=edges)),)

    def reset(self) -> None: ...

    def close(self) -> None: ...
