"""A frame whose colours are not worked out yet: planes as video has them, and RGB once somebody asks.

Cameras, networks and encoders speak I420. A picture that is only passed on, to an encoder or to another
viewer, never becomes RGB.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from .frame import Frame, Map, Stamp, checked_maps

Pixels = npt.NDArray[np.uint8]


class Planes:
    """Hold a picture of even sides as I420, and make RGB of it at most once. From any thread."""

    __slots__ = ("_lock", "_pixels", "_to_rgb", "i420")

    def __init__(self, i420: Pixels, to_rgb: Callable[[Pixels], Pixels]) -> None:
        """Take `i420`, uint8 (H * 3 / 2, W), and what turns it into RGB (H, W, 3)."""
        rows, width = i420.shape if i420.ndim == 2 else (0, 0)
        if i420.dtype != np.uint8 or not rows or rows % 3 or width % 2:
            raise ValueError(
                f"Planes must be uint8 of shape (H * 3 / 2, W) with even sides, got {i420.dtype} {i420.shape}"
            )
        self.i420 = np.ascontiguousarray(i420)
        self.i420.flags.writeable = False
        self._to_rgb = to_rgb
        self._pixels: Pixels | None = None
        self._lock = threading.Lock()

    @property
    def pixels(self) -> Pixels:
        """(H, W, 3) RGB, read-only; the first call works it out."""
        with self._lock:
            if self._pixels is None:
                self._pixels = np.ascontiguousarray(self._to_rgb(self.i420))
                self._pixels.flags.writeable = False
            return self._pixels

    @property
    def is_converted(self) -> bool:
        """Whether somebody has asked for RGB."""
        return self._pixels is not None


class PlanarFrame(Frame):
    """Be a `Frame` in every way; `pixels` is made of `planes` when it is first read."""

    __slots__ = ("planes",)

    planes: Planes

    def __init__(
        self,
        stamp: Stamp,
        planes: Planes,
        maps: Mapping[str, Map] = MappingProxyType({}),
        moved_from: Stamp | None = None,
    ) -> None:
        object.__setattr__(self, "stamp", stamp)
        object.__setattr__(self, "planes", planes)
        object.__setattr__(self, "maps", checked_maps(maps))
        object.__setattr__(self, "moved_from", moved_from)

    @property
    def pixels(self) -> Pixels:
        return self.planes.pixels

    def with_maps(self, **more: Map) -> PlanarFrame:
        """Return this frame with further maps, its colours still not worked out."""
        return PlanarFrame(self.stamp, self.planes, {**self.maps, **more}, self.moved_from)

    def with_motion(self, before: Stamp, **motion: Map) -> PlanarFrame:
        """Return this frame with maps of the motion from the frame stamped `before`."""
        return PlanarFrame(self.stamp, self.planes, {**self.maps, **motion}, before)

    @property
    def height_px(self) -> int:
        return int(self.planes.i420.shape[0]) * 2 // 3

    @property
    def width_px(self) -> int:
        return int(self.planes.i420.shape[1])
