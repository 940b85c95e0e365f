"""Films of drawn worlds: pictures, and exactly where everything is in each of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from training.streamnet.paths import Camera, camera, path
from training.streamnet.things import NAMES, SKIN_PX, area, outline, skin

TRAIN = ("astronaut.png", "camera.png", "chelsea.png", "brick.png", "grass.png", "gravel.png", "moon.png",
         "hubble_deep_field.jpg", "coins.png", "ihc.png", "page.png")  # fmt: skip
HELD_OUT = ("coffee.png", "rocket.jpg", "motorcycle_left.png")
"""Photographs of the scikit-image wheel for backgrounds and skins: those that training sees, those for tests."""
FINE = 4
"""Edges are drawn so many times as fine, and averaged: soft and in place."""
SEEN = 0.25
"""Share of a thing's area that must be visible for its box to be asked for."""


@dataclass(slots=True)
class Film:
    """Frames (T, H, W, 3) RGB with the truth of each: all things that were drawn, visible or not."""

    pixels_THW3: np.ndarray
    boxes_TN4: np.ndarray
    """Left, top, right, bottom in px, clipped to the picture."""
    visible_TN: np.ndarray
    """Share of the area that is to be seen."""
    kinds_N: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels_THW3)

    def shown(self, t: int) -> np.ndarray:
        """Return the numbers of the things that count at frame t."""
        sides = self.boxes_TN4[t, :, 2:] - self.boxes_TN4[t, :, :2]
        return np.flatnonzero((self.visible_TN[t] >= SEEN) & (sides.min(-1) >= 4))


@cache
def photos(names: tuple[str, ...] = TRAIN, longest_px: int = 640) -> list[np.ndarray]:
    """Read photographs that come with scikit-image: RGB, (H, W, 3) uint8 each."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("scikit-image is not installed; `pip install scikit-image` brings the photographs.")
    found = []
    for name in names:
        bgr = cv2.imread(str(Path(spec.origin).parent / "data" / name), cv2.IMREAD_COLOR)
        scale = min(1.0, longest_px / max(bgr.shape[:2]))
        bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found.append(np.ascontiguousarray(bgr[..., ::-1]))
    return found


def backdrop(rng: np.random.Generator, pool: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Return a background larger than `size` (width, height) by a half: a photo, noise, or a gradient."""
    width, height = int(1.5 * size[0]), int(1.5 * size[1])
    how = rng.random()
    if how < 0.65 and pool:
        photo = pool[rng.integers(len(pool))]
        scale = max(width / photo.shape[1], height / photo.shape[0]) * rng.uniform(1.0, 1.8)
        big = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        top = int(rng.integers(0, big.shape[0] - height + 1))
        left = int(rng.integers(0, big.shape[1] - width + 1))
        out = big[top : top + height, left : left + width].astype(np.float32)
        out = out[:, ::-1] if rng.random() < 0.5 else out
    elif how < 0.8:
        cells = int(rng.integers(2, 24))
        noise = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        out = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.float32)
        out = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    gain, tint = rng.uniform(0.5, 1.1), rng.uniform(0.85, 1.15, 3)
    return np.clip(out * gain * tint + rng.uniform(-20, 20), 0, 255).astype(np.uint8)


def film(
    rng: np.random.Generator,
    size: tuple[int, int],
    count: int,
    *,
    every: int = 1,
    pool: list[np.ndarray] | None = None,
    most: int = 16,
    closer: float = 1.0,
) -> Film:
    """Draw `count` frames of `size` (width, height) px, each `every` frames of the world after the one before.

    `closer` makes things larger and faster.
    """
    pool = photos() if pool is None else pool
    length, side = (count - 1) * every + 1, max(size)
    room = (size[0] / side, size[1] / side)
    things = int(rng.integers(1, most + 1))
    kinds = rng.integers(0, len(NAMES), things)
    radii = closer * np.exp(rng.uniform(np.log(0.035), np.log(0.14), things))
    paths = [path(rng, length, room, float(radius), closer) for radius in radii]
    stretch = np.where(rng.random((things, 1)) < 0.4, rng.uniform(0.65, 1.0, (things, 2)), 1.0)
    skins = [skin(rng, pool) for _ in range(things)]
    outlines = [outline(int(kind)) for kind in kinds]
    eye, behind = camera(rng, length), backdrop(rng, pool, size)
    soft, grain = rng.random() < 0.25, rng.uniform(0, 7) if rng.random() < 0.6 else 0.0
    light = 1 + (rng.uniform(0, 0.06) * np.sin(np.arange(length) * rng.uniform(0.1, 0.6)) if rng.random() < 0.2 else np.zeros(length))
    pixels = np.empty((count, size[1], size[0], 3), np.uint8)
    boxes, visible = np.zeros((count, things, 4)), np.zeros((count, things))
    for k in range(count):
        t = k * every
        canvas = _seen_behind(behind, eye, t, size, side)
        owner = np.full((size[1], size[0]), -1, np.int16)
        areas = np.ones(things)
        for n, (one, contours) in enumerate(zip(paths, outlines, strict=True)):
            placed = _placed(contours, stretch[n], one.angles_T[t], one.sizes_T[t], one.places_T2[t], eye, t, room, side)
            areas[n] = max(area(placed), 1.0)
            points = placed[0]
            boxes[k, n] = [*points.min(0), *points.max(0)]
            _paint(canvas, owner, n, placed, skins[n], one.angles_T[t])
        seen = np.bincount((owner + 1).ravel(), minlength=things + 1)[1:]
        visible[k] = seen / areas
        boxes[k] = np.clip(boxes[k], 0, np.tile(size, 2))
        pixels[k] = _taken(rng, canvas, soft, grain, float(light[t]))
    return Film(pixels, boxes, visible, kinds)


def _seen_behind(behind: np.ndarray, eye: Camera, t: int, size: tuple[int, int], side: int) -> np.ndarray:
    zoom, middle = eye.zoom_T[t], np.array(size) / 2
    corner = np.array(behind.shape[1::-1]) / 2 + eye.shift_T2[t] * side - middle / zoom
    matrix = np.array([[1 / zoom, 0, corner[0]], [0, 1 / zoom, corner[1]]])
    return cv2.warpAffine(behind, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT)


def _placed(contours: list[np.ndarray], stretch: np.ndarray, angle: float, radius: float, place: np.ndarray, eye: Camera,
            t: int, room: tuple[float, float], side: int) -> list[np.ndarray]:  # fmt: skip
    """Return the contours in px of the picture."""
    c, s = np.cos(angle), np.sin(angle)
    turned = [(one * stretch) @ np.array([[c, s], [-s, c]]) * radius + place for one in contours]
    middle = np.array(room) / 2
    return [((one - middle - eye.shift_T2[t]) * eye.zoom_T[t] + middle) * side for one in turned]


def _paint(canvas: np.ndarray, owner: np.ndarray, n: int, placed: list[np.ndarray], skin_SS3: np.ndarray, angle: float) -> None:
    """Paint one thing over the canvas, with soft edges."""
    height, width = owner.shape
    low = np.maximum(np.floor(placed[0].min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(placed[0].max(0)).astype(int) + 2, (width, height))
    if (high - low).min() <= 0:
        return
    inner = (int(high[0] - low[0]), int(high[1] - low[1]))
    fine = np.zeros((FINE * inner[1], FINE * inner[0]), np.uint8)
    cv2.fillPoly(fine, [np.round(((one - low) * FINE - 0.5) * 16).astype(np.int32) for one in placed], 255, cv2.LINE_8, 4)
    mask = cv2.resize(fine, inner, interpolation=cv2.INTER_AREA)
    reach = np.hypot(*(placed[0].max(0) - placed[0].min(0))) / 2
    middle = (placed[0].max(0) + placed[0].min(0)) / 2 - low
    c, s = np.cos(angle) * SKIN_PX / (2 * reach), np.sin(angle) * SKIN_PX / (2 * reach)
    turn = np.array([[c, s], [-s, c]])
    matrix = np.column_stack([turn, SKIN_PX / 2 - turn @ middle])
    painted = cv2.warpAffine(skin_SS3, matrix, mask.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                             borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    share = (mask.astype(np.float32) / 255)[..., None]
    canvas[window] = (canvas[window] * (1 - share) + painted * share + 0.5).astype(np.uint8)
    owner[window][mask > 127] = n


def _taken(rng: np.random.Generator, canvas: np.ndarray, soft: bool, grain: float, light: float) -> np.ndarray:
    """Return what a camera would make of it: softness, grain, light that flickers."""
    out = cv2.GaussianBlur(canvas, (3, 3), 0.8) if soft else canvas
    if not grain and light == 1.0:
        return out
    noisy = out.astype(np.float32) * light
    if grain:
        noise = np.empty(out.shape, np.float32)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, 0, grain)
        noisy += noise
    return np.clip(noisy, 0, 255).astype(np.uint8)
