"""What flows: a stamp made once at the door, and the samples and results that carry it.

Shapes: pixels (H, W, 3) uint8 RGB; samples (n,) float32 in [-1, 1]; maps as `Frame.maps` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from .clock import NS_PER_MS
from .errors import StageError

T = TypeVar("T")

Map = npt.NDArray[Any]
"""A picture made of a frame, one of the kinds that `Frame.maps` names."""

VIDEO_CLOCK = Fraction(1, 90_000)  # RTP's video clock (RFC 3551, section 5)
SPEECH_RATE_HZ = 16_000
"""What stages that hear speech work with; they resample for themselves."""
SOUND_RATE_HZ = 48_000
"""Of all sound that comes in and goes out: Opus' own rate (RFC 7587, section 4.1)."""


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
        return self.pts * self.time_base.numerator / self.time_base.denominator

    def age_ms(self, now_ns: int) -> float:
        """Milliseconds since the sample came through the door."""
        return (now_ns - self.captured_ns) / NS_PER_MS


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Hold one picture in host memory."""

    stamp: Stamp
    pixels: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, C-contiguous; made read-only here, since several readers share it."""
    maps: Mapping[str, Map] = field(default_factory=dict)
    """What stages before made of the whole view, by name, read-only, of any size with the same ratio of
    sides: a grey map (H, W), uint8 or float32 from 0 to 1; a picture (H, W, 3), uint8 RGB; a motion
    (H, W, 2), float32, in its own pixels."""
    moved_from: Stamp | None = None
    """Stamp of the frame that the motion in the maps leads to; None: of the frame before by number."""

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or kind != np.uint8 or 0 in shape:
            raise ValueError(f"Frame.pixels must be uint8 with shape (H, W, 3), got {kind} {shape}")
        if not self.pixels.flags.c_contiguous:
            object.__setattr__(self, "pixels", np.ascontiguousarray(self.pixels))
        self.pixels.flags.writeable = False
        object.__setattr__(self, "maps", checked_maps(self.maps))

    def with_maps(self, **more: Map) -> Frame:
        """Return this frame with further maps; one of a name that it has already takes its place."""
        return Frame(self.stamp, self.pixels, {**self.maps, **more}, self.moved_from)

    def with_motion(self, before: Stamp, **motion: Map) -> Frame:
        """Return this frame with maps of the motion between the frame stamped `before` and this one."""
        return Frame(self.stamp, self.pixels, {**self.maps, **motion}, before)

    @property
    def height_px(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width_px(self) -> int:
        return int(self.pixels.shape[1])


def checked_maps(maps: Mapping[str, Map]) -> Mapping[str, Map]:
    """Return `maps` as a frame holds them, read-only. Raises ValueError for an array that is no map."""
    for name, one in maps.items():
        if fault := _map_fault(one):
            raise ValueError(f'Frame.maps["{name}"] {fault}')
        one.flags.writeable = False
    return MappingProxyType(dict(maps))


def _map_fault(one: Map) -> str:
    """Say what keeps an array from being a map; empty when nothing does."""
    shape, kind = one.shape, one.dtype
    if 0 in shape:
        return f"is empty: {shape}"
    if kind == np.uint8 and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        return ""
    if kind == np.float32 and len(shape) == 3 and shape[2] == 2:
        return ""
    if kind == np.float32 and len(shape) == 2:
        low, high = float(one.min()), float(one.max())
        return "" if 0.0 <= low <= high <= 1.0 else f"must lie between 0 and 1, got {low:g} to {high:g}"
    return f"must be (H, W) or (H, W, 3) uint8, or (H, W) or (H, W, 2) float32, got {kind} {shape}"


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """Hold a stretch of mono sound. `stamp.pts` counts samples; `stamp` is that of the first one."""

    stamp: Stamp
    samples: npt.NDArray[np.float32]
    """(n,) in [-1, 1]; made read-only here."""
    sample_rate: int
    """Hz; SOUND_RATE_HZ at the doors."""

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
