"""Films of photographs in layers: a backdrop, before it cut-outs, each moved by an affine map of its own.

Since every layer is one flat thing that moves in a known way, the flow between any two frames is exact, and so
is what a nearer layer hides. The photographs come with scikit-image and are free; those for tests are others
than those for training, and the stereo pair of the benchmark is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.streamnet.world import photos

TRAIN = ("astronaut.png", "rocket.jpg", "retina.jpg", "hubble_deep_field.jpg", "ihc.png", "moon.png", "coins.png",
         "brick.png", "grass.png", "gravel.png", "page.png")  # fmt: skip
HELD_OUT = ("coffee.png", "chelsea.png", "camera.png")
"""Photographs that training never sees."""
FINE = 4
"""Outlines are drawn so many times as fine, and averaged."""
MARGIN_PX = 2
"""A cut-out's picture is larger than the thing by so much on each side."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Say how things move and look, at most; lengths in px of the picture, angles in degrees, by frame."""

    fastest_px: float = 10.0
    """Of things; slow ones are more frequent."""
    pan_px: float = 6.0
    """Of the backdrop."""
    turn_deg: float = 2.0
    growth: float = 0.015
    """By how much a thing becomes larger or smaller, as a share."""
    camera_turn_deg: float = 0.3
    camera_growth: float = 0.006
    things: tuple[int, int] = (2, 7)
    """The fewest and the most cut-outs."""
    sides: tuple[float, float] = (0.08, 0.3)
    """Radius of a cut-out, as shares of the shorter side."""
    grain: float = 3.0
    """Noise of the camera, in levels (standard deviation), in half of the films."""


@dataclass(frozen=True, slots=True)
class Path:
    """Say where a layer is at each frame."""

    place_2: np.ndarray
    """Middle at frame 0, px."""
    speed_2: np.ndarray
    swing_2: np.ndarray
    """How far it swings beside its way, px."""
    pace: float
    """Of the swing, radians by frame."""
    angle: float
    spin: float
    """Radians, and radians by frame."""
    scale: float
    growth: float
    """Logarithm of the growth by frame."""
    lean: float
    """How far it is sheared in its swing."""

    def at(self, t: float, middle_2: np.ndarray) -> np.ndarray:
        """Return the map (3, 3) from a layer's own px, with `middle_2` in its middle, to the picture's."""
        swing = np.sin(self.pace * t)
        angle, scale = self.angle + self.spin * t, self.scale * np.exp(self.growth * t)
        c, s = np.cos(angle), np.sin(angle)
        turn = scale * np.array([[c, -s], [s, c]]) @ np.array([[1.0, self.lean * swing], [0.0, 1.0]])
        place = self.place_2 + self.speed_2 * t + self.swing_2 * swing
        out = np.eye(3)
        out[:2, :2], out[:2, 2] = turn, place - turn @ middle_2
        return out


@dataclass(frozen=True, slots=True)
class Layer:
    """Hold one flat thing."""

    texture_HW3: np.ndarray
    """uint8; mirrored beyond its edges."""
    cover_HW: np.ndarray | None
    """float32, 0 to 1; None for the backdrop, which is everywhere."""
    path: Path

    def at(self, t: float) -> np.ndarray:
        height, width = self.texture_HW3.shape[:2]
        return self.path.at(t, np.array([width - 1, height - 1]) / 2)


@dataclass(frozen=True, slots=True)
class Film:
    """Hold frames with the truth from each to the next: flow in px, x before y, and what is hidden in it."""

    pixels_THW3: np.ndarray
    """uint8 RGB."""
    flow_THW2: np.ndarray
    """float32, one fewer than frames: what is at p in frame t is at p + flow in frame t + 1."""
    occluded_THW: np.ndarray
    """bool, one fewer: what is covered in the next frame, or out of the picture."""


class Scene:
    """Know all layers, the farthest first, and what is to be seen of them in a picture of `size` (width, height)."""

    def __init__(self, layers: list[Layer], size: tuple[int, int], grain: float = 0.0, seed: int = 0) -> None:
        self.layers, self.size = layers, size
        self._grain, self._seed = grain, seed

    def picture(self, t: int) -> np.ndarray:
        """Return frame `t`, (H, W, 3) uint8."""
        canvas = np.zeros((self.size[1], self.size[0], 3), np.float32)
        for layer in self.layers:
            matrix = layer.at(t)[:2]
            seen = cv2.warpAffine(layer.texture_HW3, matrix, self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            if layer.cover_HW is None:
                canvas[:] = seen
            else:
                cover = cv2.warpAffine(layer.cover_HW, matrix, self.size, flags=cv2.INTER_LINEAR)[..., None]
                canvas += (seen - canvas) * cover
        if self._grain:
            canvas += self._grain * np.random.default_rng((self._seed, t)).standard_normal(canvas.shape, np.float32)
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)

    def owners(self, t: int) -> np.ndarray:
        """Return the number of the nearest layer at each pixel of frame `t`, (H, W)."""
        owner = np.zeros((self.size[1], self.size[0]), np.int16)
        for n, layer in enumerate(self.layers):
            if layer.cover_HW is not None:
                owner[cv2.warpAffine(layer.cover_HW, layer.at(t)[:2], self.size, flags=cv2.INTER_LINEAR) >= 0.5] = n
        return owner

    def truth(self, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Return flow (H, W, 2) from frame `i` to `j`, and which pixels of `i` are not to be seen in `j`, (H, W)."""
        owner = self.owners(i)
        y, x = np.mgrid[0 : self.size[1], 0 : self.size[0]].astype(np.float32)
        to_x, to_y = np.empty_like(x), np.empty_like(y)
        for n, layer in enumerate(self.layers):
            mine = owner == n
            way = layer.at(j) @ np.linalg.inv(layer.at(i))
            to_x[mine] = way[0, 0] * x[mine] + way[0, 1] * y[mine] + way[0, 2]
            to_y[mine] = way[1, 0] * x[mine] + way[1, 1] * y[mine] + way[1, 2]
        hidden = (to_x < 0) | (to_y < 0) | (to_x > self.size[0] - 1) | (to_y > self.size[1] - 1)
        for n, layer in enumerate(self.layers):
            if layer.cover_HW is not None:
                back = np.linalg.inv(layer.at(j))
                at_x = (back[0, 0] * to_x + back[0, 1] * to_y + back[0, 2]).astype(np.float32)
                at_y = (back[1, 0] * to_x + back[1, 1] * to_y + back[1, 2]).astype(np.float32)
                hidden |= (cv2.remap(layer.cover_HW, at_x, at_y, cv2.INTER_LINEAR) >= 0.5) & (owner < n)
        return np.stack([to_x - x, to_y - y], -1).astype(np.float32), hidden


def scene(seed: int, size: tuple[int, int], *, names: tuple[str, ...] = TRAIN, ranges: Ranges | None = None) -> Scene:
    """Make a scene that depends on nothing but what is given; `size` is (width, height)."""
    rng, ranges = np.random.default_rng(seed), ranges or Ranges()
    pool = photos(names)
    grain = float(rng.uniform(0, ranges.grain)) if rng.random() < 0.5 else 0.0
    things = int(rng.integers(ranges.things[0], ranges.things[1] + 1))
    layers = [_backdrop(rng, pool, size, ranges)]
    layers += [_cut_out(rng, pool, size, ranges) for _ in range(things)]
    return Scene(layers, size, grain, seed)


def film(seed: int, size: tuple[int, int], count: int, *, names: tuple[str, ...] = TRAIN, ranges: Ranges | None = None) -> Film:
    """Return `count` frames of the scene of that seed, with their truth."""
    of = scene(seed, size, names=names, ranges=ranges)
    truths = [of.truth(t, t + 1) for t in range(count - 1)]
    return Film(
        np.stack([of.picture(t) for t in range(count)]),
        np.stack([flow for flow, _ in truths]),
        np.stack([hidden for _, hidden in truths]),
    )


def _heading(rng: np.random.Generator, most: float) -> np.ndarray:
    """Return a direction times a length up to `most`, short ones more often."""
    angle, length = rng.uniform(0, 2 * np.pi), most * rng.random() ** 2
    return length * np.array([np.cos(angle), np.sin(angle)])


def _photo(rng: np.random.Generator, pool: list[np.ndarray], width: int, height: int) -> np.ndarray:
    """Return a part of some photograph at least so large, with colours of its own."""
    photo = pool[rng.integers(len(pool))]
    scale = max(width / photo.shape[1], height / photo.shape[0], 0.5) * rng.uniform(1.0, 1.5)
    shape = (max(round(photo.shape[1] * scale), width), max(round(photo.shape[0] * scale), height))
    big = cv2.resize(photo, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = int(rng.integers(0, shape[1] - height + 1)), int(rng.integers(0, shape[0] - width + 1))
    part = big[top : top + height, left : left + width].astype(np.float32)
    part = part[:, ::-1] if rng.random() < 0.5 else part
    tint = rng.uniform(0.6, 1.15) * rng.uniform(0.85, 1.15, 3)
    return np.clip(part * tint + rng.uniform(-15, 15), 0, 255).astype(np.uint8)


def _backdrop(rng: np.random.Generator, pool: list[np.ndarray], size: tuple[int, int], ranges: Ranges) -> Layer:
    texture = _photo(rng, pool, round(1.3 * size[0]), round(1.3 * size[1]))
    turn = np.deg2rad(ranges.camera_turn_deg)
    path = Path(
        (np.array(size) - 1) / 2, _heading(rng, ranges.pan_px), _heading(rng, ranges.pan_px), rng.uniform(0.1, 0.5),
        rng.uniform(-0.1, 0.1), rng.uniform(-turn, turn), 1.0, rng.uniform(-1, 1) * ranges.camera_growth, 0.0,
    )  # fmt: skip
    return Layer(texture, None, path)


def _cut_out(rng: np.random.Generator, pool: list[np.ndarray], size: tuple[int, int], ranges: Ranges) -> Layer:
    radius = min(size) * rng.uniform(*ranges.sides)
    cover = outline(rng, radius)
    texture = _photo(rng, pool, cover.shape[1], cover.shape[0])
    turn = np.deg2rad(ranges.turn_deg)
    path = Path(
        rng.uniform(0, 1, 2) * size, _heading(rng, ranges.fastest_px), _heading(rng, ranges.fastest_px), rng.uniform(0.1, 0.6),
        rng.uniform(0, 2 * np.pi), rng.uniform(-turn, turn), 1.0, rng.uniform(-1, 1) * ranges.growth, rng.uniform(-0.1, 0.1),
    )  # fmt: skip
    return Layer(texture, cover, path)


def outline(rng: np.random.Generator, radius: float) -> np.ndarray:
    """Draw a thing's shape, rounded or with corners: float32 (h, w), 1 inside, soft by a pixel at its edge."""
    around = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    if rng.random() < 0.3:
        around = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 9))))
    waves = np.arange(2, 7)
    sizes, phases = rng.normal(0, 0.35, 5) / waves, rng.uniform(0, 2 * np.pi, 5)
    reach = np.clip(1 + (sizes[:, None] * np.cos(waves[:, None] * around + phases[:, None])).sum(0), 0.35, 1.6)
    points = radius * reach[:, None] * np.stack([np.cos(around), np.sin(around) * rng.uniform(0.4, 1.0)], -1)
    low, high = points.min(0) - MARGIN_PX, points.max(0) + MARGIN_PX
    width, height = np.ceil(high - low).astype(int)
    fine = np.zeros((FINE * height, FINE * width), np.uint8)
    cv2.fillPoly(fine, [np.round(((points - low) * FINE - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    return cv2.resize(fine, (int(width), int(height)), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
