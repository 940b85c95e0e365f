"""A world of moving boxes whose truth is known at every moment, and a detector that sees it imperfectly.

Real clips with stated boxes are few and their licences narrow; forecasting can be judged without them. Each
thing swings smoothly along both axes, never faster than a car across the picture of a dash camera, and grows
and shrinks a little. Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perception.scene import Detections

Numbers = npt.NDArray[np.float64]

NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "stop sign")
"""What Argoverse-HD tells apart."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """Say how much there is and how it moves."""

    sequences: int = 3
    frames: int = 150
    things: int = 14
    fps: float = 30.0
    size_px: tuple[int, int] = (1920, 1200)
    fastest_px: float = 14.0
    """The most that a thing moves from one frame to the next."""
    sides_px: tuple[float, float] = (28.0, 190.0)
    """Small ones are as many as large ones, counted in octaves."""


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Hold the things of one sequence: a swing for each of left-right, up-down, width and height."""

    middle_N4: Numbers
    reach_N4: Numbers
    rate_N4: Numbers
    """Radians a frame."""
    phase_N4: Numbers
    kinds_N: npt.NDArray[np.int64]

    def xyxy_N4(self, frame: float) -> Numbers:
        """Return the boxes in px at a frame, which may lie between two."""
        at = self.middle_N4 + self.reach_N4 * np.sin(self.rate_N4 * frame + self.phase_N4)
        return np.concatenate([at[:, :2] - at[:, 2:] / 2, at[:, :2] + at[:, 2:] / 2], axis=1)


class World:
    """Hold sequences of things. The same seed makes the same world."""

    def __init__(self, seed: int, settings: WorldSettings | None = None) -> None:
        self.settings = settings or WorldSettings()
        self.seed = seed
        draw = np.random.default_rng([seed, 0])
        self.sequences = [_sequence(draw, self.settings) for _ in range(self.settings.sequences)]

    def annotations(self) -> dict[str, Any]:
        """Return the truth in COCO's format, with "sequences", "sid" and "fid". Ids count from 1."""
        given = self.settings
        width, height = given.size_px
        images: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        for sid, sequence in enumerate(self.sequences):
            for fid in range(given.frames):
                images.append(
                    {
                        "id": len(images) + 1,
                        "sid": sid,
                        "fid": fid,
                        "width": width,
                        "height": height,
                        "name": f"{sid}/{fid:04}.jpg",
                    }
                )
                for box, kind in zip(sequence.xyxy_N4(fid), sequence.kinds_N, strict=True):
                    boxes.append(annotation(len(boxes) + 1, len(images), int(kind) + 1, box))
        return {
            "images": images,
            "annotations": boxes,
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)],
            "sequences": [f"sequence {sid}" for sid in range(len(self.sequences))],
        }


def annotation(number: int, image: int, category: int, xyxy: Numbers) -> dict[str, Any]:
    """Return one box as COCO writes it."""
    left, top, right, bottom = (float(one) for one in xyxy)
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": 0,
    }


@dataclass(frozen=True, slots=True)
class SeenBy:
    """Say how well the detector of this world sees."""

    noise_px: float = 1.5
    """Deviation of each side."""
    missed: float = 0.05
    """The share of things that it does not see."""
    strays: float = 0.0
    """False boxes in a picture, on average."""


def detections(world: World, sid: int, frame: int, seen: SeenBy | None = None) -> Detections:
    """Return what a detector says of a frame: the same each time it is asked about it."""
    seen = seen or SeenBy()
    width, height = world.settings.size_px
    sequence = world.sequences[sid]
    draw = np.random.default_rng([world.seed, 1, sid, frame])
    boxes = sequence.xyxy_N4(frame)
    boxes = boxes + draw.normal(0.0, seen.noise_px, boxes.shape)
    scores = draw.uniform(0.5, 1.0, len(boxes))
    here = draw.uniform(size=len(boxes)) >= seen.missed
    boxes, scores, kinds = boxes[here], scores[here], sequence.kinds_N[here]
    if count := draw.poisson(seen.strays):
        sides = draw.uniform(*world.settings.sides_px, (count, 2))
        corner = draw.uniform(0, 1, (count, 2)) * (np.array(world.settings.size_px) - sides)
        boxes = np.concatenate([boxes, np.concatenate([corner, corner + sides], axis=1)])
        scores = np.concatenate([scores, draw.uniform(0.3, 0.6, count)])
        kinds = np.concatenate([kinds, draw.integers(0, len(NAMES), count)])
    order = np.argsort(-scores, kind="stable")
    shares = boxes / np.array([width, height, width, height])
    return Detections(shares[order].astype(np.float32), scores[order].astype(np.float32), kinds[order], NAMES)


def _sequence(draw: np.random.Generator, given: WorldSettings) -> Sequence:
    count, size = given.things, np.array(given.size_px, np.float64)
    side = np.exp(_spread(draw, count, *np.log(given.sides_px)))
    sides = side * np.exp(draw.uniform(-0.35, 0.35, (count, 2)))
    growth = sides * draw.uniform(0.0, 0.2, (count, 2))
    room = (size - sides - growth) / 2
    reach = room * draw.uniform(0.35, 0.8, (count, 2))
    middle = size / 2 + (room - reach) * draw.uniform(-1.0, 1.0, (count, 2))
    # A swing of the reach r and the rate w is at most r * w fast: the two axes together, `fastest`.
    fastest = given.fastest_px * _spread(draw, count, 0.1, 1.0)
    slant = _spread(draw, count, 0.0, np.pi / 2)
    rate = fastest * np.concatenate([np.cos(slant), np.sin(slant)], axis=1) / reach
    return Sequence(
        np.concatenate([middle, sides], axis=1),
        np.concatenate([reach, growth], axis=1),
        np.concatenate([rate, draw.uniform(0.01, 0.05, (count, 2))], axis=1),
        draw.uniform(0.0, 2 * np.pi, (count, 4)),
        draw.integers(0, len(NAMES), count),
    )


def _spread(draw: np.random.Generator, count: int, low: float, high: float) -> Numbers:
    """Return (count, 1) values in any order, one from each part of a range, so that seeds differ little."""
    parts = (draw.permutation(count) + draw.uniform(size=count)) / max(count, 1)
    return np.asarray(low + (high - low) * parts[:, None], np.float64)
