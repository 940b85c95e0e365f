"""Where the things of one picture are at another moment: the roll-forward.

A detector answers late, and a picture is shown later still. What is drawn must lie where the thing is by
then, so each display tick asks for its own moment. The answer is a few sums over arrays and never waits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime.core.clock import NS_PER_S

from .kalman import LEAST, Numbers, transition_33
from .scene import Things, seconds

FARTHEST_S = 1.0
"""A thing is not moved on for longer than that; it waits there until it is left out."""
LEAST_INSIDE = 0.1
"""A thing of which less than this share lies inside the picture is gone."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Say how the camera moves, as seen in the picture, in heights of it."""

    turn_22: Numbers
    """What a point moves in a second, by where it is: this times the point, plus `shift_2`."""
    shift_2: Numbers
    growth: float = 1.0
    """How many times larger things become in a second."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Know the tracks of one picture, as `scene.Motion` asks. Nobody writes to its arrays."""

    at_ns: int
    means_N43: Numbers
    """Middle x and y, width, height; position, velocity, acceleration; in heights and seconds."""
    ids_N: npt.NDArray[np.int64]
    scores_N: npt.NDArray[np.float32]
    kinds_N: npt.NDArray[np.int64]
    until_N_ns: npt.NDArray[np.int64]
    """The moment after which each thing is left out."""
    names: tuple[str, ...]
    aspect: float
    """Width by height of the picture."""
    drift: Drift | None = None

    def at(self, when_ns: int) -> Things:
        """Return where the things are at that time, as shares clipped to the picture."""
        span_s = min(max(seconds(self.at_ns, when_ns), -FARTHEST_S), FARTHEST_S)
        step = transition_33(span_s)
        now = self.means_N43 @ step[0]
        middle, sides = now[:, :2], np.maximum(now[:, 2:], LEAST)
        velocity = self.means_N43[:, :2] @ step[1]
        if self.drift is not None:
            carried = middle @ self.drift.turn_22.T + self.drift.shift_2
            middle = middle + carried * span_s
            velocity = velocity + carried
            sides = sides * self.drift.growth**span_s
        wide = np.array([self.aspect, 1.0])
        boxes = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1) / np.tile(wide, 2)
        shown = np.clip(boxes, 0.0, 1.0)
        inside = _area(shown) > LEAST_INSIDE * _area(boxes)
        here = inside & (self.until_N_ns >= when_ns)
        return Things(
            when_ns,
            self.ids_N[here],
            shown[here].astype(np.float32),
            (velocity / wide)[here].astype(np.float32),
            self.scores_N[here],
            self.kinds_N[here],
            self.names,
        )


def drift_of(camera_23: Numbers, span_s: float) -> Drift | None:
    """Return the motion of a camera that moved the picture's points so, in heights, within a time."""
    if span_s <= 0:
        return None
    turn = (camera_23[:, :2] - np.eye(2)) / span_s
    growth = abs(np.linalg.det(camera_23[:, :2])) ** (0.5 / span_s)
    return Drift(turn, camera_23[:, 2] / span_s, float(np.clip(growth, 0.1, 10.0)))


def _area(boxes_N4: Numbers) -> Numbers:
    return np.asarray((boxes_N4[:, 2] - boxes_N4[:, 0]) * (boxes_N4[:, 3] - boxes_N4[:, 1]))


def after(at_ns: int, seconds_: float) -> int:
    """Return a moment so much later."""
    return at_ns + round(seconds_ * NS_PER_S)
