"""What is seen: the boxes that a detector finds in a picture, and the things they belong to as time goes on.

Places are shares of the picture that was seen: x of its width, y of its height, from the left upper corner.
So they hold for the same picture at any size; `in_view` brings them to the centred square that is painted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from realtime.core.clock import NS_PER_S
from realtime.core.frame import Stamp

Boxes = npt.NDArray[np.float32]
"""(N, 4): left, top, right, bottom, as shares of width and height."""
Points = npt.NDArray[np.float32]
"""(N, 2): x and y, as shares of width and height."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Hold what a detector says of one picture, the surest first."""

    xyxy_N4: Boxes
    scores_N: npt.NDArray[np.float32]
    """0 to 1."""
    kinds_N: npt.NDArray[np.int64]
    """Places in `names`."""
    names: tuple[str, ...]
    """What the detector can tell apart, in the words that a person reads."""
    ahead_s: float = 0.0
    """How long after its picture was taken this holds; more than 0 for a detector that forecasts."""

    def __len__(self) -> int:
        return len(self.xyxy_N4)


@dataclass(frozen=True, slots=True, eq=False)
class Things:
    """Hold where the things of a scene are at one moment."""

    at_ns: int
    """The moment, on the clock of `Stamp.captured_ns`."""
    ids_N: npt.NDArray[np.int64]
    """A number for each thing, the same as long as it is followed; never used again in a stream."""
    xyxy_N4: Boxes
    velocity_N2: npt.NDArray[np.float32]
    """Of the middle, in shares of width and height a second."""
    scores_N: npt.NDArray[np.float32]
    kinds_N: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids_N)


class Motion(Protocol):
    """Know the things of one picture and how they move. Immutable: later pictures make another one."""

    def at(self, when_ns: int) -> Things:
        """Return where the things are at that time, before or after the picture was taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Hold an area or a line that is watched, and what came of it so far."""

    name: str
    points_K2: Points
    """The corners of an area; the two ends of a line, in its own direction."""
    is_line: bool = False
    inside: int = 0
    """How many things an area holds."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many things crossed a line, by direction."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Hold what was seen in one picture: what stages that draw, count and answer look at."""

    stamp: Stamp
    """Of the picture."""
    size_px: tuple[int, int]
    """Width and height of the picture, for the ratio of its sides."""
    detector: str
    """Id of what found the things."""
    motion: Motion
    happened: tuple[Mapping[str, Any], ...] = ()
    """What began or ended with this picture, such as a person coming into a zone: objects with "what"."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What the detector cost, names ending in their unit."""
    places: tuple[Place, ...] = ()
    """What is watched in the picture."""

    def at(self, when_ns: int) -> Things:
        """Return where the things are at that time."""
        return self.motion.at(when_ns)

    def told(self, now_ns: int) -> dict[str, Any]:
        """Return the scene as an event for the page: the things where they are now, as shares."""
        things = self.at(now_ns)
        return {
            "type": "seen",
            "detector": self.detector,
            "captured_ns": self.stamp.captured_ns,
            "age_ms": round(self.stamp.age_ms(now_ns), 1),
            "aspect": round(self.size_px[0] / self.size_px[1], 4),
            "things": [
                {
                    "id": int(things.ids_N[k]),
                    "name": things.names[things.kinds_N[k]],
                    "score": round(float(things.scores_N[k]), 3),
                    "box": [round(float(one), 4) for one in things.xyxy_N4[k]],
                    "velocity": [round(float(one), 4) for one in things.velocity_N2[k]],
                }
                for k in range(len(things))
            ],
            "happened": [dict(one) for one in self.happened],
        }


def in_view(things: Things, seen_px: tuple[int, int], shown_px: tuple[int, int]) -> Things:
    """Return `things` as shares of a picture with other sides: the largest centred part of the seen one.

    Both sizes are (width, height). Things outside the part lie outside 0 to 1.
    """
    kept = shares_kept(seen_px, shown_px)
    if (kept == 1).all():
        return things
    boxes = (things.xyxy_N4 - 0.5) / np.tile(kept, 2) + 0.5
    return replace(things, xyxy_N4=boxes.astype(np.float32), velocity_N2=things.velocity_N2 / kept)


def points_in_view(points_N2: Points, seen_px: tuple[int, int], shown_px: tuple[int, int]) -> Points:
    """Return points as `in_view` does boxes."""
    return np.asarray((points_N2 - 0.5) / shares_kept(seen_px, shown_px) + 0.5, np.float32)


def shares_kept(seen_px: tuple[int, int], shown_px: tuple[int, int]) -> Points:
    """Return which shares of the seen picture's width and height the largest centred part of it has, (2,)."""
    seen, shown = seen_px[0] / seen_px[1], shown_px[0] / shown_px[1]
    if abs(seen / shown - 1) < 0.01:  # a pixel of rounding
        return np.ones(2, np.float32)
    return np.array([min(shown / seen, 1.0), min(seen / shown, 1.0)], np.float32)


def nothing(at_ns: int, names: tuple[str, ...] = ()) -> Things:
    """Return no things at all."""
    return Things(
        at_ns,
        np.zeros(0, np.int64),
        np.zeros((0, 4), np.float32),
        np.zeros((0, 2), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.int64),
        names,
    )


def seconds(from_ns: int, to_ns: int) -> float:
    """Return the time between two moments."""
    return (to_ns - from_ns) / NS_PER_S
