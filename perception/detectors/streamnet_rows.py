"""What stands before and after a streaming detector's networks: fitting a picture in, reading rows out."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from perception.scene import Boxes

from .base import Pixels
from .boxes import separate

Floats = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)
GREY = 114
LEAST_IOU = 0.65
"""Of two boxes of a kind that overlap by more, the surer one stays (as in YOLOX)."""
LARGEST_LOG = 8.0
"""A side is at most e to this many strides: what a network of noise says must not overflow."""


class Fitted(NamedTuple):
    """Hold a picture as the network takes it."""

    picture_13HW: Floats
    """BGR, 0 to 255; grey below and right of the picture."""
    inner_px: tuple[int, int]
    """Width and height of the picture in it, from the left upper corner."""


def net_size(width_px: int, height_px: int, longest_px: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return width and height of the picture in the network, and of the network: multiples of 32."""
    scale = longest_px / max(width_px, height_px)
    inner = max(round(width_px * scale), 1), max(round(height_px * scale), 1)
    return inner, (-(-inner[0] // 32) * 32, -(-inner[1] // 32) * 32)


def fitted(pixels: Pixels, longest_px: int) -> Fitted:
    """Bring a picture (H, W, 3) RGB to a longest side, its sides in proportion."""
    import cv2

    height, width = pixels.shape[:2]
    inner, outer = net_size(width, height, longest_px)
    way = cv2.INTER_AREA if inner[0] < width else cv2.INTER_LINEAR
    shown = pixels if (width, height) == inner else cv2.resize(pixels, inner, interpolation=way)
    planes = np.full((1, 3, outer[1], outer[0]), GREY, np.float32)
    planes[0, :, : inner[1], : inner[0]] = np.asarray(shown)[..., ::-1].transpose(2, 0, 1)
    return Fitted(planes, inner)


@lru_cache(maxsize=16)
def cells(width_px: int, height_px: int) -> Floats:
    """Return column, row and stride of each cell of all levels, (A, 3), as the head lists them."""
    found = []
    for stride in STRIDES:
        y, x = np.mgrid[0 : -(-height_px // stride), 0 : -(-width_px // stride)]
        found.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], -1))
    return np.concatenate(found).astype(np.float32)


def boxes_in(
    rows_AN: Floats, outer_px: tuple[int, int], inner_px: tuple[int, int], least_score: float, most: int
) -> tuple[Boxes, Floats, npt.NDArray[np.int64]]:
    """Return boxes as shares of the picture, scores and kinds, the surest first, from the head's raw rows."""
    rows = rows_AN.astype(np.float32)
    surest = _sigmoid(rows[:, 4]) * _sigmoid(rows[:, 5:]).max(1)
    kept = np.flatnonzero(surest >= least_score)
    rows, scores, at = rows[kept], surest[kept], cells(*outer_px)[kept]
    kinds = rows[:, 5:].argmax(1).astype(np.int64)
    middle = (rows[:, :2] + at[:, :2]) * at[:, 2:]
    half = np.exp(np.minimum(rows[:, 2:4], LARGEST_LOG)) * at[:, 2:] / 2
    shares = np.concatenate([middle - half, middle + half], 1) / np.tile(np.array(inner_px, np.float32), 2)
    boxes = np.clip(shares, 0.0, 1.0).astype(np.float32)
    wide = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
    stays = wide[separate(boxes[wide], scores[wide], kinds[wide], LEAST_IOU)][: max(most, 0)]
    return boxes[stays], scores[stays], kinds[stays]


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60.0, 60.0))), np.float32)
