"""Clips whose motion is known exactly: a portrait at rest, one that speaks, and a camera that pans past it.

Each picture looks a photograph (astronaut, scikit-image) up where a smooth formula says, so where any point
was in the picture before follows from the formula, to a thousandth of a pixel, and no flow has to be trusted.
In the panning clip a cup goes by before the portrait, so that something is hidden and comes into view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
WIDTH_PX, HEIGHT_PX = 640, 360
NOISE_LEVELS = 4.0
"""Standard deviation of the sensor's noise."""
FACE = (227.0, 130.0)
"""In the photograph, px; the chin is 52 px below."""
ROUNDS = 12
"""Of the search for where a point was; each shrinks the error several times."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Hold what a camera gave, what it would have given without noise, and the exact motion."""

    noisy: Sequence[Pixels]
    clean: Sequence[Pixels]
    flows_HW2: Sequence[Floats]
    """From each picture to the one before, px; the first is nothing."""
    visible_HW: Sequence[npt.NDArray[np.bool_]]
    """What was to be seen in the picture before."""


def grid() -> Floats:
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
    return np.stack([x, y], axis=-1)


def bump(at: Floats, x: float, y: float, width: float, height: float) -> Floats:
    """Return 1 at a point of the photograph and less away from it, smoothly."""
    far = ((at[..., 0] - x) / width) ** 2 + ((at[..., 1] - y) / height) ** 2
    return np.asarray(np.exp(-0.5 * far), np.float32)


def still(t: float, at: Floats) -> Floats:
    return at * np.float32(0.6) + np.array([60, 70], np.float32)


def talking(t: float, at: Floats) -> Floats:
    """Look where a head that sways and nods, and a jaw that goes up and down four times a second, were."""
    scale = np.float32(0.56)
    middle = np.array([WIDTH_PX, HEIGHT_PX], np.float32) * scale / 2
    there: Any = at * scale + np.array([FACE[0], FACE[1] + 10], np.float32) - middle
    head, turn = bump(there, *FACE, 70, 80), 0.035 * np.sin(t / 9)
    jaw = 2.5 * (1 + np.sin(0.85 * t)) * (0.6 + 0.4 * np.sin(0.31 * t))
    moved = np.empty_like(there)
    moved[..., 0] = head * (5 * np.sin(t / 8) + turn * (FACE[1] - there[..., 1]))
    moved[..., 1] = head * (2.5 * np.sin(t / 5 + 1) + turn * (there[..., 0] - FACE[0]))
    moved[..., 1] += bump(there, FACE[0], FACE[1] + 52, 20, 10) * jaw
    return np.asarray(there - moved, np.float32)


def panning(t: float, at: Floats) -> Floats:
    """Look where a camera in a hand looks that goes to the right, as fast as 4 px a picture."""
    corner = np.array([8 + 2.2 * t, 70 + 14 * np.sin(t / 7) + np.sin(1.3 * t)], np.float32)
    return at * np.float32(0.6 - 0.03 * np.sin(t / 15)) + corner


def cup(t: float, at: Floats) -> Floats:
    """Look where a cup that goes by shows its photograph (coffee, scikit-image); it is round."""
    return at * np.float32(1.3) + np.array([-520 + 7 * t, -140 + 10 * np.sin(t / 4)], np.float32)


CUP_MIDDLE, CUP_PX = (300.0, 210.0), 175.0
"""In its photograph."""
WAYS: Mapping[str, Callable[[float, Floats], Floats]] = {
    "still": still,
    "talking": talking,
    "panning": panning,
}
SCALES = {"still": 0.6, "talking": 0.56, "panning": 0.6, "cup": 1.3}


def was_at(way: Callable[[float, Floats], Floats], t: float, then: float, scale: float) -> Floats:
    """Return how far each point of picture `t` is from where it was in picture `then`, (H, W, 2), px."""
    here, wanted = grid(), way(t, grid())
    there = here.copy()
    for _ in range(ROUNDS):
        there -= (way(then, there) - wanted) / np.float32(scale)
    return there - here


def looked_up(photo: Pixels, where_HW2: Floats) -> Pixels:
    found: Any = cv2.remap(photo, where_HW2, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)  # type: ignore[call-overload]
    return np.asarray(found, np.uint8)


def cover(t: float) -> Floats:
    """Return where the cup is, 0 to 1 with a soft edge, (H, W)."""
    far = np.linalg.norm(cup(t, grid()) - np.array(CUP_MIDDLE, np.float32), axis=-1)
    return np.asarray(np.clip((CUP_PX - far) / 2.0 + 0.5, 0.0, 1.0), np.float32)


def picture(name: str, t: float) -> Pixels:
    """Return what the camera would show without noise."""
    from skimage.data import astronaut, coffee

    shown = looked_up(cv2.GaussianBlur(astronaut(), (0, 0), 0.5), WAYS[name](t, grid()))
    if name != "panning":
        return shown
    before = looked_up(cv2.GaussianBlur(coffee(), (0, 0), 0.7), cup(t, grid()))
    share = cover(t)[..., None]
    return np.asarray((shown + share * (before.astype(np.float32) - shown)).round(), np.uint8)


def motion(name: str, t: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the exact flow from picture `t` to the one before, and what was to be seen there."""
    flow = was_at(WAYS[name], t, t - 1, SCALES[name])
    seen = np.ones(flow.shape[:2], bool)
    if name == "panning":
        here, there = cover(t) > 0.5, cover(t - 1) > 0.5
        flow = np.where(here[..., None], was_at(cup, t, t - 1, SCALES["cup"]), flow)
        at: Any = (grid() + flow).round().astype(int)
        x, y = at[..., 0].clip(0, WIDTH_PX - 1), at[..., 1].clip(0, HEIGHT_PX - 1)
        seen = there[y, x] == here
    at = grid() + flow
    inside = (at >= 0).all(-1) & (at[..., 0] <= WIDTH_PX - 1) & (at[..., 1] <= HEIGHT_PX - 1)
    return flow, seen & inside


def made(name: str, frames: int) -> Clip:
    """Return a clip of so many pictures."""
    clean = [picture(name, t) for t in range(frames)]
    noisy = []
    for t, one in enumerate(clean):
        grain = np.random.default_rng([t, len(name)]).normal(0, NOISE_LEVELS, one.shape)
        noisy.append(np.asarray((one + grain).round().clip(0, 255), np.uint8))
    nothing = np.zeros((HEIGHT_PX, WIDTH_PX, 2), np.float32)
    moves = [(nothing, np.ones(nothing.shape[:2], bool)), *(motion(name, t) for t in range(1, frames))]
    return Clip(noisy, clean, [flow for flow, _ in moves], [seen for _, seen in moves])
