"""Decoded pictures in, `Frame`s out, and back: crop and resize on the planes first, colour last.

A camera picture of 1280x720 is 1.4 MB as I420 and 2.8 MB as RGB; the painter wants 256x256. So the planes are
cropped and resized before the one colour conversion, which then costs little; OpenCV does both several times
faster than libswscale's generic path. What the fast path cannot do exactly (full-range, 10-bit, RGB, BT.709)
goes through libswscale, which knows.

Colour: RGB here is full range; 8-bit YUV is BT.601, limited range, as WebRTC has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from realtime.core.errors import ConfigError, UnsupportedMedia
from realtime.core.frame import Frame, Result, Stamp

if TYPE_CHECKING:
    import av

Pixels = npt.NDArray[np.uint8]
Fit = Literal["cover", "contain"]

MAX_PICTURE_PX = 8192 * 4320
"""Pictures with more pixels are refused before they are converted."""

_FAST_FORMATS = ("yuv420p", "nv12")
_COLORSPACE_BT709 = 1
_COLOR_RANGE_FULL = 2


def rate_of(time_base: Any) -> Fraction:
    """Return PyAV's rational (a Fraction, from PyAV 19 on a type of its own) as a Fraction."""
    return Fraction(int(time_base.numerator), int(time_base.denominator))


def to_even(pixels: Pixels) -> Pixels:
    """Repeat the last row or column of (H, W, 3) where a side is odd: 4:2:0 video has even sides only."""
    height, width = pixels.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return pixels
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def fit(pixels: Pixels, width_px: int, height_px: int, how: Fit = "cover") -> Pixels:
    """Return (H, W, 3) `pixels` at exactly the given size, never distorted.

    "cover" cuts off what sticks out, equally on both sides; "contain" shows all of it between black bars.
    """
    height, width = pixels.shape[:2]
    if (width, height) == (width_px, height_px):
        return pixels
    if how == "contain":
        scale = min(width_px / width, height_px / height)
        inner_w, inner_h = max(round(width * scale), 1), max(round(height * scale), 1)
        canvas = np.zeros((height_px, width_px, 3), np.uint8)
        top, left = (height_px - inner_h) // 2, (width_px - inner_w) // 2
        canvas[top : top + inner_h, left : left + inner_w] = _resized(pixels, inner_w, inner_h)
        return canvas
    x0, y0, w, h = _covering_crop(width, height, width_px, height_px)
    return _resized(pixels[y0 : y0 + h, x0 : x0 + w], width_px, height_px)


def _covering_crop(width: int, height: int, width_px: int, height_px: int) -> tuple[int, int, int, int]:
    """Return (x, y, width, height) of the centred part that has the target's aspect ratio."""
    if width * height_px > height * width_px:
        w, h = max(round(height * width_px / height_px), 1), height
    else:
        w, h = width, max(round(width * height_px / width_px), 1)
    return (width - w) // 2, (height - h) // 2, w, h


def _resized(plane: npt.NDArray[np.uint8], width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    if plane.shape[:2] == (height_px, width_px):
        return plane
    shrinks = plane.shape[0] * plane.shape[1] > width_px * height_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width_px, height_px), interpolation=how), np.uint8)


def _plane(frame: av.VideoFrame, index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """View one 8-bit plane without its line padding, (height, width)."""
    plane = frame.planes[index]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
    return rows[:height, :width]  # type: ignore[no-any-return]


def _square_from_planes(frame: av.VideoFrame, side_px: int) -> Pixels:
    """Return the centre square of an I420 or NV12 picture as RGB, (side, side, 3)."""
    width, height = frame.width, frame.height
    crop = min(width, height) & ~1
    x0, y0 = ((width - crop) // 2) & ~1, ((height - crop) // 2) & ~1
    luma = _plane(frame, 0, width, height)[y0 : y0 + crop, x0 : x0 + crop]
    half = slice(y0 // 2, (y0 + crop) // 2), slice(x0 // 2, (x0 + crop) // 2)
    half_w, half_h = (width + 1) // 2, (height + 1) // 2
    if frame.format.name == "nv12":
        both = _plane(frame, 1, 2 * half_w, half_h).reshape(half_h, half_w, 2)[half]
        chroma = [np.ascontiguousarray(both[..., 0]), np.ascontiguousarray(both[..., 1])]
    else:
        chroma = [_plane(frame, i, half_w, half_h)[half] for i in (1, 2)]
    i420 = np.empty((side_px * 3 // 2, side_px), np.uint8)
    i420[:side_px] = _resized(luma, side_px, side_px)
    quarter = i420[side_px:].reshape(2, side_px // 2, side_px // 2)
    for index in (0, 1):
        quarter[index] = _resized(chroma[index], side_px // 2, side_px // 2)
    return np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420), np.uint8)


def to_pixels(frame: av.VideoFrame, *, size_px: int | None = None) -> Pixels:
    """Convert a decoded picture to upright RGB: its own size, or the centre square at `size_px` (even)."""
    if frame.width * frame.height > MAX_PICTURE_PX:
        raise UnsupportedMedia(
            f"A picture of {frame.width} x {frame.height} px is too large.",
            hint="Use video of at most 8192 x 4320 px.",
        )
    exact = frame.colorspace != _COLORSPACE_BT709 and frame.color_range != _COLOR_RANGE_FULL
    if (
        size_px is not None
        and exact
        and frame.format.name in _FAST_FORMATS
        and min(frame.width, frame.height) > 1
    ):
        pixels = _square_from_planes(frame, size_px)
    else:
        pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        if size_px is not None:
            pixels = fit(pixels, size_px, size_px)
    turns = round(frame.rotation / 90) % 4  # counterclockwise quarter turns, as rot90 counts them
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def to_i420(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Convert RGB (H, W, 3) to I420 (H * 3 / 2, W); odd sides are made even first."""
    return np.asarray(cv2.cvtColor(to_even(pixels), cv2.COLOR_RGB2YUV_I420), np.uint8)


def to_video_frame(pixels: Pixels) -> av.VideoFrame:
    """Convert RGB (H, W, 3) to a yuv420p picture for an encoder; odd sides are made even first."""
    import av

    frame = av.VideoFrame.from_ndarray(to_i420(pixels), format="yuv420p")
    return frame


@dataclass(frozen=True, slots=True)
class Intake:
    """Turn decoded pictures into `Frame`s of one size: one conversion a picture, on the caller's thread."""

    size_px: int | None = None
    """Side of the centre square to cut and resize to; None keeps each picture's own size."""

    def __post_init__(self) -> None:
        if self.size_px is not None and not (16 <= self.size_px <= 4096 and self.size_px % 2 == 0):
            raise ConfigError(
                f"size_px = {self.size_px} cannot be used.",
                hint="Use an even number from 16 to 4096, e.g. 256.",
            )

    def frame(self, picture: av.VideoFrame, stamp: Stamp) -> Frame:
        """Convert `picture` and give it `stamp`."""
        return Frame(stamp, to_pixels(picture, size_px=self.size_px))


def frame_of(item: object) -> Frame | None:
    """Return the frame in a channel's item; None for a result that has none."""
    if isinstance(item, Result):
        item = item.value
    return item if isinstance(item, Frame) else None
