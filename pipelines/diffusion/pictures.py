"""Frames to the squares that are painted, fast: less than a hundredth of what painting them costs.

The painted picture is a square: the largest centred one of the frame, scaled to the model's size. Frames of
any size, also odd ones and ones that change, so become the same tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]
Kind = TypeVar("Kind", bound=np.generic)


def square(pixels: npt.NDArray[Kind], side_px: int) -> npt.NDArray[Kind]:
    """Return the largest centred square of `pixels` (H, W, 3) as (side_px, side_px, 3); also of a map."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    centre = pixels[top : top + side, left : left + side]
    if side == side_px:
        return centre
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_LINEAR
    scaled: Any = cv2.resize(cast(Any, centre), (side_px, side_px), interpolation=how)
    return np.asarray(scaled, pixels.dtype)


def shrunk_square(pixels: Pixels, most_px: int) -> Pixels:
    """Return the centred square a whole number of times smaller, which is several times faster than any side.

    Its side is `most_px` at most; less than a point is cut off at the right and below.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    times = -(-short // most_px)
    side = short // times
    top, left = (height - short) // 2, (width - short) // 2
    centre: Any = pixels[top : top + side * times, left : left + side * times]
    return np.asarray(cv2.resize(centre, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def stacked(pictures: Sequence[Pixels]) -> Tensor:
    """Return pictures (H, W, 3) of one size as one tensor (B, H, W, 3), uint8."""
    import torch

    if len(pictures) == 1:
        return torch.from_numpy(pictures[0][None].copy())  # a frame's own pixels are read-only
    return torch.from_numpy(np.stack(pictures))


def apart(pixels_BHW3: Tensor) -> list[Pixels]:
    """Return the pictures (H, W, 3) of one tensor, each with memory of its own."""
    return [pixels.copy() for pixels in pixels_BHW3.cpu().numpy()]


def to_numbers(pictures: Sequence[Pixels]) -> Tensor:
    """Return pictures (H, W, 3) of one size as a tensor (B, 3, H, W) in [-1, 1]."""
    import torch

    height, width = pictures[0].shape[:2]
    numbers = np.empty((len(pictures), 3, height, width), np.float32)
    for into, pixels in zip(numbers, pictures, strict=True):
        for channel, plane in zip(into, cv2.split(pixels), strict=True):
            np.multiply(plane, np.float32(1 / 127.5), out=channel)
            channel -= 1.0  # at once: the plane is still near
    return torch.from_numpy(numbers)
