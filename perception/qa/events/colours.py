"""Name the colour of a thing: one of the eleven basic words of English (Berlin and Kay, 1969).

A pixel has the name of the nearest of some known colours in CIE Lab, where lightness counts less than hue and
chroma, for light changes it most. The middle of a thing's box votes, and what the ring around the box has as
well counts less: it is probably behind the thing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .records import Box

NAMES = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
_KNOWN: tuple[tuple[str, str], ...] = (
    ("black", "000000 161616 26262a"),
    ("white", "ffffff f0f0f0 e2e4e6"),
    ("grey", "484848 606060 808080 a0a0a0 bcbcbc"),
    ("red", "ff0000 d01818 b01020 900c14 e03a38 ff4040 6e0a10"),
    ("orange", "ff8000 ffa020 f07010 e88830 ff6a20 d87020"),
    ("yellow", "ffff00 ffe020 e8d030 f8f070 c8b418 ffd23c"),
    ("green", "00ff00 00a000 208030 105018 60b060 80d070 708a28 a8e060 409070 0a3812"),
    ("blue", "0000ff 1040c0 102080 2080e0 60a0e0 80c8f0 10a8d0 20c8e8 0a1450 5a78a0"),
    ("purple", "8000c0 602090 a040d0 900090 c080e8 481060 b468c8"),
    ("pink", "ff69b4 ffb0c0 f080a0 ff30a0 ff00ff f8c8d8 e05890"),
    ("brown", "804010 603010 a0622d 402010 906040 5a3820 b08050"),
)
_LEVELS = 16
_LIGHTNESS = 0.55
"""How much a step of lightness counts beside one of hue or chroma."""
INNER = 0.5
"""Share of a box's sides that votes."""
TORSO = (0.3, 0.22, 0.7, 0.55)
"""Of a person what votes: the clothes of the upper body, as shares of the box."""
RING = 0.3
"""Breadth of the ring that is behind, as a share of the box's sides."""
LONGEST_PX = 48


def name_of(red: int, green: int, blue: int) -> str:
    """Return the name of one sRGB colour."""
    return NAMES[int(_table()[red * _LEVELS // 256, green * _LEVELS // 256, blue * _LEVELS // 256])]


def shares(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return which share of the pixels (H, W, 3) has each name, (11,)."""
    steps = pixels.reshape(-1, 3) // (256 // _LEVELS)
    names = _table()[steps[:, 0], steps[:, 1], steps[:, 2]]
    return np.bincount(names, minlength=len(NAMES)) / max(len(names), 1)


def colour_of(pixels: npt.NDArray[np.uint8], box: Box, label: str = "") -> tuple[str, float] | None:
    """Return the colour of what is in a box of a picture (H, W, 3) RGB, and how sure that is, 0 to 1.

    None for a box too small or too far outside to tell.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    part = TORSO if label == "person" else ((1 - INNER) / 2,) * 2 + ((1 + INNER) / 2,) * 2
    x0, y0, x1, y1 = part
    inner = _cut(pixels, (left + x0 * width, top + y0 * height, left + x1 * width, top + y1 * height))
    if inner is None:
        return None
    mine = shares(inner)
    scores = mine * mine / (mine + 0.5 * _behind(pixels, box) + 1e-9)
    best = int(scores.argmax())
    return NAMES[best], float(scores[best] / max(scores.sum(), 1e-9) * min(mine[best] * 1.25, 1.0))


def _behind(pixels: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.float64]:
    """Return the shares in the ring around a box; zeros where the picture ends."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    sides = [
        (left - RING * width, top, left, bottom),
        (right, top, right + RING * width, bottom),
        (left, top - RING * height, right, top),
    ]  # below there is mostly what a thing stands on, with its shadow
    found = [shares(cut) for side in sides if (cut := _cut(pixels, side)) is not None]
    return np.mean(found, axis=0) if found else np.zeros(len(NAMES))


def _cut(pixels: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8] | None:
    height, width = pixels.shape[:2]
    x0, x1 = (round(min(max(side, 0.0), 1.0) * width) for side in (box[0], box[2]))
    y0, y1 = (round(min(max(side, 0.0), 1.0) * height) for side in (box[1], box[3]))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    step = max(1, max(x1 - x0, y1 - y0) // LONGEST_PX)
    return pixels[y0:y1:step, x0:x1:step]


@lru_cache(1)
def _table() -> npt.NDArray[np.uint8]:
    """Return the place in `NAMES` of each of 16 x 16 x 16 colours."""
    names, known = [], []
    for place, (name, colours) in enumerate(_KNOWN):
        assert name == NAMES[place]
        for one in colours.split():
            names.append(place)
            known.append([int(one[k : k + 2], 16) for k in (0, 2, 4)])
    steps = (np.arange(_LEVELS) + 0.5) * 256 / _LEVELS
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    far = ((_lab(grid)[:, None] - _lab(np.array(known, float))[None]) ** 2).sum(-1)
    table: Any = np.array(names, np.uint8)[far.argmin(1)].reshape(_LEVELS, _LEVELS, _LEVELS)
    return table  # type: ignore[no-any-return]


def _lab(rgb_N3: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return CIE Lab (D65) of sRGB from 0 to 255 (IEC 61966-2-1), lightness scaled by `_LIGHTNESS`."""
    share = rgb_N3 / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    curve = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    light = 116 * curve[:, 1] - 16
    return np.stack(
        [_LIGHTNESS * light, 500 * (curve[:, 0] - curve[:, 1]), 200 * (curve[:, 1] - curve[:, 2])], -1
    )
