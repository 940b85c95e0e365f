"""Words on a picture: drawn once, kept, and laid over again and again.

A label is a dark plate with a bar of its thing's colour and a few words. Words are kept each for itself,
since a score changes with every picture and a name does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .colours import INK, PAPER, SOFT, Colour

Pixels = npt.NDArray[np.uint8]
FONT, WEIGHT = "sans", 460
"""OpenCV's own: no file is needed."""
MAX_CHARS = 40
PLATE_OPACITY = 0.74


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """Hold a label that is ready to be laid over a picture: picture * kept / 255 + light."""

    light_HW3: Pixels
    kept_HW3: Pixels

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.light_HW3.shape[1], self.light_HW3.shape[0]

    def lay(self, picture_HW3: Pixels, left: int, top: int) -> None:
        """Draw it in place; what lies outside the picture is cut off."""
        height, width = picture_HW3.shape[:2]
        w, h = self.size_px
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
        if x0 >= x1 or y0 >= y1:
            return
        mine = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        under: Any = picture_HW3[y0:y1, x0:x1]
        dimmed: Any = cv2.multiply(under, self.kept_HW3[mine], scale=1 / 255)
        picture_HW3[y0:y1, x0:x1] = cv2.add(dimmed, self.light_HW3[mine])


@lru_cache(1024)
def label(name: str, more: tuple[str, ...], colour: Colour, text_px: int) -> Label:
    """Return a label: a name in full light, and `more` words in less of it."""
    words = [words_HW(name[:MAX_CHARS], text_px)] + [words_HW(one, text_px) for one in more if one]
    gap, pad, bar = max(round(0.45 * text_px), 3), max(round(0.38 * text_px), 3), max(round(text_px / 6), 2)
    height = words[0].shape[0] + 2 * max(round(0.16 * text_px), 1)
    width = bar + pad + sum(one.shape[1] for one in words) + gap * (len(words) - 1) + pad
    opacity = np.full((height, width), PLATE_OPACITY, np.float32)
    light = np.empty((height, width, 3), np.float32)
    light[:] = np.array(INK, np.float32) * PLATE_OPACITY
    opacity[:, :bar] = 1.0
    light[:, :bar] = colour
    x, top = bar + pad, (height - words[0].shape[0]) // 2
    for k, word in enumerate(words):
        at = slice(top, top + word.shape[0]), slice(x, x + word.shape[1])
        cover = word.astype(np.float32) / 255.0
        light[at] = light[at] * (1 - cover[..., None]) + np.array(SOFT if k else PAPER) * cover[..., None]
        opacity[at] += (1 - opacity[at]) * cover
        x += word.shape[1] + gap
    corner = _rounded(height, width, max(round(text_px / 5), 2))
    kept = np.repeat((255.0 * (1.0 - opacity * corner))[..., None], 3, 2)
    return Label((light * corner[..., None]).round().astype(np.uint8), kept.round().astype(np.uint8))


@lru_cache(2048)
def words_HW(text: str, text_px: int) -> Pixels:
    """Return how much of each pixel the letters of a text cover, 0 to 255, (H, W), cut to their width."""
    font, room = cv2.FontFace(FONT), (len(text) + 2) * text_px
    canvas: Any = np.zeros((round(1.3 * text_px) + 1, room), np.uint8)
    cv2.putText(canvas, text, (2, round(1.02 * text_px)), (255,), font, text_px, WEIGHT)
    columns = np.flatnonzero(canvas.any(axis=0))
    if not len(columns):
        return np.zeros((canvas.shape[0], 1), np.uint8)
    return np.ascontiguousarray(canvas[:, columns[0] : columns[-1] + 1])


@lru_cache(256)
def _rounded(height: int, width: int, radius: int) -> npt.NDArray[np.float32]:
    """Return 1 within a rectangle of round corners and 0 outside, soft between, (H, W)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    dx = np.maximum(radius - np.minimum(x, width - x), 0)
    dy = np.maximum(radius - np.minimum(y, height - y), 0)
    return np.asarray(np.clip(radius - np.hypot(dx, dy) + 0.5, 0, 1), np.float32)
