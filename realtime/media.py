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
from realtime.core.planar import PlanarFrame, Planes

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


def is_plain(frame: av.VideoFrame) -> bool:
    """Tell whether the planes are what RGB is made of here: I420 or NV12, upright, limited range, BT.601."""
    exact = frame.colorspace != _COLORSPACE_BT709 and frame.color_range != _COLOR_RANGE_FULL
    upright = round(frame.rotation / 90) % 4 == 0
    return exact and upright and frame.format.name in _FAST_FORMATS and min(frame.width, frame.height) > 1


def planes_of(frame: av.VideoFrame, size_px: int | None = None) -> Pixels:
    """Copy a plain picture as I420 (H * 3 / 2, W): its own even size, or the centre square at `size_px`."""
    width, height = frame.width, frame.height
    if size_px is None:
        crop_w, crop_h, out_w, out_h = width, height, width, height
    else:
        crop_w = crop_h = min(width, height) & ~1
        out_w = out_h = size_px
    x0, y0 = ((width - crop_w) // 2) & ~1, ((height - crop_h) // 2) & ~1
    luma = _plane(frame, 0, width, height)[y0 : y0 + crop_h, x0 : x0 + crop_w]
    half = slice(y0 // 2, (y0 + crop_h) // 2), slice(x0 // 2, (x0 + crop_w) // 2)
    half_w, half_h = (width + 1) // 2, (height + 1) // 2
    if frame.format.name == "nv12":
        both = _plane(frame, 1, 2 * half_w, half_h).reshape(half_h, half_w, 2)[half]
        chroma = [np.ascontiguousarray(both[..., 0]), np.ascontiguousarray(both[..., 1])]
    else:
        chroma = [_plane(frame, i, half_w, half_h)[half] for i in (1, 2)]
    i420 = np.empty((out_h * 3 // 2, out_w), np.uint8)
    i420[:out_h] = _resized(luma, out_w, out_h)
    quarter = i420[out_h:].reshape(2, out_h // 2, out_w // 2)
    for index in (0, 1):
        quarter[index] = _resized(chroma[index], out_w // 2, out_h // 2)
    return i420


def from_i420(i420: Pixels) -> Pixels:
    """Convert I420 (H * 3 / 2, W) to RGB (H, W, 3)."""
    return np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420), np.uint8)


def to_picture(frame: av.VideoFrame, *, size_px: int | None = None) -> Pixels | Planes:
    """Take a decoded picture over as upright RGB, or as planes where those say the same.

    It has its own size, or is the centre square at `size_px` (even). Nothing of the decoder's memory is kept.
    """
    if frame.width * frame.height > MAX_PICTURE_PX:
        raise UnsupportedMedia(
            f"A picture of {frame.width} x {frame.height} px is too large.",
            hint="Use video of at most 8192 x 4320 px.",
        )
    is_even = frame.width % 2 == 0 and frame.height % 2 == 0
    if is_plain(frame) and (size_px is not None or is_even):
        return Planes(planes_of(frame, size_px), from_i420)
    pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    if size_px is not None:
        pixels = fit(pixels, size_px, size_px)
    turns = round(frame.rotation / 90) % 4  # counterclockwise quarter turns, as rot90 counts them
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def to_pixels(frame: av.VideoFrame, *, size_px: int | None = None) -> Pixels:
    """Convert a decoded picture to upright RGB: its own size, or the centre square at `size_px` (even)."""
    picture = to_picture(frame, size_px=size_px)
    return picture if isinstance(picture, np.ndarray) else picture.pixels


def to_i420(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Convert RGB (H, W, 3) to I420 (H * 3 / 2, W); odd sides are made even first."""
    return np.asarray(cv2.cvtColor(to_even(pixels), cv2.COLOR_RGB2YUV_I420), np.uint8)


def to_video_frame(pixels: Pixels) -> av.VideoFrame:
    """Convert RGB (H, W, 3) to a yuv420p picture for an encoder; odd sides are made even first."""
    return _wrapped(to_i420(pixels))


def coded_picture(frame: Frame, size_px: tuple[int, int] | None = None) -> av.VideoFrame:
    """Return a yuv420p picture for an encoder, at `size_px` (width, height; even) or its own size.

    Planes that are there at that size are shared, not copied.
    """
    size_px = size_px or (frame.width_px, frame.height_px)
    if not isinstance(frame, PlanarFrame):
        own = size_px == (frame.width_px, frame.height_px)
        return _wrapped(to_i420(frame.pixels if own else _resized(frame.pixels, *size_px)))
    if size_px == (frame.width_px, frame.height_px):
        return _wrapped(frame.planes.i420)
    return _wrapped(_resized_i420(frame.planes.i420, *size_px))


def _resized_i420(i420: Pixels, width_px: int, height_px: int) -> Pixels:
    height, width = i420.shape[0] * 2 // 3, i420.shape[1]
    resized = np.empty((height_px * 3 // 2, width_px), np.uint8)
    resized[:height_px] = _resized(i420[:height], width_px, height_px)
    quarters = resized[height_px:].reshape(2, height_px // 2, width_px // 2)
    for quarter, chroma in zip(quarters, i420[height:].reshape(2, height // 2, width // 2), strict=True):
        quarter[:] = _resized(chroma, width_px // 2, height_px // 2)
    return resized


def _wrapped(i420: Pixels) -> av.VideoFrame:
    import av

    if i420.shape[0] % 6:  # PyAV takes a buffer's height for a multiple of 4
        return av.VideoFrame.from_ndarray(i420, format="yuv420p")
    return av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")


def from_s16(piece: av.AudioFrame) -> npt.NDArray[np.float32]:
    """Return the samples of decoded mono sound, (n,) in [-1, 1].

    It is mixed down as "s16": libswresample lets "flt" grow by 3 dB, beyond 1 where both channels are loud.
    """
    return np.asarray(piece.to_ndarray()[0] / np.float32(32_768), np.float32)


def to_s16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Convert samples (n,) to what an encoder takes, (1, n); what is too loud is cut off."""
    return np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)[None]


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
        """Take `picture` over and give it `stamp`; its colours are worked out when somebody reads them."""
        taken = to_picture(picture, size_px=self.size_px)
        return Frame(stamp, taken) if isinstance(taken, np.ndarray) else PlanarFrame(stamp, taken)


def frame_of(item: object) -> Frame | None:
    """Return the frame in a channel's item; None for a result that has none."""
    if isinstance(item, Result):
        item = item.value
    return item if isinstance(item, Frame) else None
