"""Where the foreground is: the map "mask", 255 on it. By motion, by a key colour, or from a file.

Motion is what differs from a background learned over the last frames (MOG2, Zivkovic 2004), so a person who
stands still fades into it after `memory` frames. The file may be a picture, or a video that is played along.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from realtime.core.errors import ConfigError
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, Live, StageContext, StageSpec

from .mask_file import MaskFile

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
WORK_PX = 360
"""Longer side that motion is looked for at."""


class MaskConfig(BaseModel):
    """Say what is foreground."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["motion", "colour", "file"] = Field(
        "motion",
        description="What tells the foreground: that it moves, that it has not the colour, or a file.",
    )
    file: str = Field("", max_length=400, description="Picture or video whose white is the foreground.")
    colour: Annotated[str, Live()] = Field(
        "#00b140", pattern=r"^#[0-9a-fA-F]{6}$", description="Colour of the backdrop, as #rrggbb."
    )
    tolerance: Annotated[float, Live()] = Field(
        35.0,
        ge=1.0,
        le=200.0,
        description="How far from the colour still counts as backdrop, in CIELAB units.",
    )
    memory: int = Field(300, ge=10, le=10_000, description="Frames that the background is learned from.")
    sensitivity: Annotated[float, Live()] = Field(
        0.5, ge=0.0, le=1.0, description="Motion: more takes smaller changes for foreground."
    )
    grow_px: Annotated[int, Live()] = Field(
        4, ge=0, le=64, description="How far the foreground is drawn beyond what was found."
    )
    feather_px: Annotated[int, Live()] = Field(4, ge=0, le=128, description="Width of the soft edge.")
    invert: Annotated[bool, Live()] = Field(False, description="Mark the background instead.")


class MaskStage:
    """Put the map "mask" beside each frame."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="mask",
        takes=Frame,
        gives=Frame,
        config=MaskConfig,
        lane="see",
        says="Finds the foreground and passes the picture on with a mask of it.",
        files=("file",),
    )

    def __init__(self) -> None:
        self._config = MaskConfig()
        self._motion: Motion | None = None
        self._file: MaskFile | None = None

    def open(self, ctx: StageContext) -> None:
        """Open the file, if the mask comes from one. Raises ConfigError when it cannot be read."""
        config = self._config
        if config.source == "file" and self._file is None:
            if not config.file:
                raise ConfigError(
                    "The mask comes from a file, and none is named.", hint="Set stages.mask.file."
                )
            self._file = MaskFile(Path(config.file).expanduser())

    def configure(self, config: MaskConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        mask = finished(self._found(item), self._config)
        return (Emitted(item.stamp, item.with_maps(mask=mask)),)

    def reset(self) -> None:
        """Forget the background, and begin the video anew."""
        self._motion = None
        if self._file is not None:
            self._file.rewind()

    def close(self) -> None:
        self.reset()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _found(self, frame: Frame) -> Mask:
        config = self._config
        if self._file is not None:
            return self._file.at(frame.stamp.time_s, frame.height_px, frame.width_px)
        if config.source == "colour":
            return unlike(frame.pixels, config.colour, config.tolerance)
        if self._motion is None:
            self._motion = Motion(config.memory)
        return self._motion.of(frame.pixels, config.sensitivity)


class Motion:
    """Learn one session's background, and tell what differs from it."""

    def __init__(self, memory: int) -> None:
        self._subtractor = cv2.createBackgroundSubtractorMOG2(history=memory, detectShadows=False)
        self._size: tuple[int, int] | None = None

    def of(self, pixels: Pixels, sensitivity: float) -> Mask:
        """Return 255 where a frame (H, W, 3) differs from those before, else 0; the first is all 0."""
        height, width = pixels.shape[:2]
        scale = min(WORK_PX / max(height, width), 1.0)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        is_first = self._size != size  # a view of another size is another background
        self._size = size
        self._subtractor.setVarThreshold(4.0 + 60.0 * (1.0 - sensitivity) ** 2)
        found: Any = self._subtractor.apply(small, learningRate=1.0 if is_first else -1)
        if is_first:
            return np.zeros((height, width), np.uint8)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        solid = cv2.morphologyEx(cv2.medianBlur(found, 5), cv2.MORPH_CLOSE, kernel, iterations=2)
        return np.asarray(cv2.resize(solid, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def unlike(pixels: Pixels, colour: str, tolerance: float) -> Mask:
    """Return 255 where a picture (H, W, 3) has not the colour "#rrggbb", 0 where it has, soft between.

    By hue and saturation alone (CIELAB a and b), so that a crease in the backdrop is backdrop.
    """
    key = np.array([[[int(colour[k : k + 2], 16) for k in (1, 3, 5)]]], np.uint8)
    wanted: Any = cv2.cvtColor(key, cv2.COLOR_RGB2LAB)[0, 0, 1:].astype(np.float32)
    lab: Any = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    away = np.hypot(lab[..., 1] - wanted[0], lab[..., 2] - wanted[1])
    soft = (away - 0.8 * tolerance) / (0.4 * tolerance)
    return np.asarray(soft.clip(0.0, 1.0) * 255.0, np.uint8)


def finished(mask: Mask, config: MaskConfig) -> Mask:
    """Return the mask grown, softened and, where wished, inverted."""
    made: Any = mask
    if config.grow_px:
        side = 2 * config.grow_px + 1
        made = cv2.dilate(made, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    if config.feather_px:
        made = cv2.blur(made, (2 * config.feather_px + 1, 2 * config.feather_px + 1))
    return np.asarray(255 - made if config.invert else made, np.uint8)
