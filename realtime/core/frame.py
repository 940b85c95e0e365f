"""What flows: a stamp made once at the door, and the samples and results that carry it.

Shapes: pixels (H, W, 3) uint8 RGB; samples (n,) float32 in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from .clock import NS_PER_MS
from .errors import StageError

T = TypeVar("T")

VIDEO_CLOCK = Fraction(1, 90_000)  # RTP's video clock (RFC 3551, section 5)
SPEECH_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """Say where and when a sample came in. Made once; all that is derived from the sample carries it."""

    source: str
    """Name of the source, unique within a session."""
    seq: int
    """0, 1, 2 ... for each source; a gap means that samples were lost."""
    pts: int
    """Presentation time in ticks of `time_base`."""
    time_base: Fraction
    """Seconds a tick."""
    captured_ns: int
    """Monotonic nanoseconds at the door: for a network source, the arrival of the decoded sample."""

    @property
    def time_s(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    def age_ms(self, now_ns: int) -> float:
        """Milliseconds since the sample came through the door."""
        return (now_ns - self.captured_ns) / NS_PER_MS


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Hold one picture in host memory."""

    stamp: Stamp
    pixels: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, C-contiguous; made read-only here, since several readers share it."""

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or kind != np.uint8 or 0 in shape:
            raise ValueError(f"Frame.pixels must be uint8 with shape (H, W, 3), got {kind} {shape}")
        if not self.pixels.flags.c_contiguous:
            object.__setattr__(self, "pixels", np.ascontiguousarray(self.pixels))
        self.pixels.flags.writeable = False

    @property
    def height_px(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width_px(self) -> int:
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """Hold a stretch of mono sound. `stamp.pts` counts samples."""

    stamp: Stamp
    samples: npt.NDArray[np.float32]
    """(n,) in [-1, 1]; made read-only here."""
    sample_rate: int
    """Hz; 16 000 after intake."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(
                "AudioChunk.samples must be float32 with shape (n,), "
                f"got {self.samples.dtype} {self.samples.shape}"
            )
        self.samples.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Question:
    """Hold what a person asked, stamped with the newest frame at that moment."""

    stamp: Stamp
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """Hold what one stage made of one sample."""

    stamp: Stamp
    stage: str
    value: T | None
    work_ms: float
    """Milliseconds of the lane's time that the sample cost."""
    error: StageError | None = None
    note: str = ""
    """Why the value is special, e.g. "passed through"; empty for an ordinary result."""
