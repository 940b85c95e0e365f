"""How a thing moves, and what a box tells of it: Kalman filters for all tracks at once.

Each of middle x, middle y, width and height is a position with a velocity and an acceleration that is
remembered for a while and then forgotten (Singer 1970, doi:10.1109/TAES.1970.310128), over any time. Lengths
are shares of the picture's height, for both axes, so that noise is the same along both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(8)
PLACE, SIZE = slice(0, 2), slice(2, 4)
"""Which of the four are the middle, and which the sides."""
LEAST = 1e-4
"""No side is shorter: a tenth of a pixel."""


@dataclass(frozen=True, slots=True)
class Habits:
    """Say how exact detectors are and how things move. One setting for all detectors and delays."""

    side_off: float = 0.002
    """Deviation of a box's side, in heights of the picture: one or two pixels of 720."""
    side_off_share: float = 0.02
    """The same as a share of the thing's size; both are added."""
    swerve: float = 0.1
    """Deviation of the acceleration, in heights/s²."""
    swerve_share: float = 0.3
    """The same in sizes/s²: what is near is large and moves much."""
    memory_s: float = 1.0
    """How long an acceleration lasts."""
    start: float = 0.3
    """Deviation of the velocity of what is seen for the first time, in heights/s."""
    start_share: float = 1.0
    """The same in sizes/s."""
    growth: float = 0.2
    """How much less the sides change than the middle moves."""


def transition_33(span_s: float, memory_s: float) -> Numbers:
    """Return what becomes of position, velocity and acceleration over a time, which may be negative."""
    span = abs(span_s)
    left = np.exp(-span / memory_s)
    turned = memory_s * memory_s * (span / memory_s - 1 + left)
    gained = np.copysign(memory_s * (1 - left), span_s)
    return np.array([[1.0, span_s, turned], [0.0, 1.0, gained], [0.0, 0.0, left]])


def wander_33(span_s: float, memory_s: float) -> Numbers:
    """Return the covariance that swerving of deviation 1 adds over a time: its response, integrated."""
    span = abs(span_s)
    times = (POINTS + 1) * span / 2
    left = np.exp(-times / memory_s)
    response = np.stack(
        [memory_s * memory_s * (times / memory_s - 1 + left), memory_s * (1 - left), left], axis=0
    )
    return np.asarray((response * WEIGHTS) @ response.T * (span / memory_s))


def size_of(means_N43: Numbers) -> Numbers:
    """Return the geometric mean of the sides, (N,)."""
    return np.asarray(np.sqrt(np.maximum(means_N43[:, 2:, 0], LEAST).prod(axis=1)))


class Filter:
    """Do the sums. It holds no tracks, only what its habits say."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self._of_sides = np.array([1.0, 1.0, habits.growth**2, habits.growth**2])

    def begin(self, seen_N4: Numbers) -> tuple[Numbers, Numbers]:
        """Return means (N, 4, 3) and covariances (N, 4, 3, 3) of what is seen for the first time, at rest."""
        means = np.zeros((len(seen_N4), 4, 3))
        means[:, :, 0] = seen_N4
        size = size_of(means)
        spread = np.zeros((len(seen_N4), 4, 3, 3))
        spread[:, :, 0, 0] = self.measured(size)
        start = self.habits.start**2 + (self.habits.start_share * size) ** 2
        spread[:, :, 1, 1] = start[:, None] * self._of_sides
        spread[:, :, 2, 2] = self._swerve(size)
        return means, spread

    def advance(self, means_N43: Numbers, spread_N433: Numbers, span_s: float) -> tuple[Numbers, Numbers]:
        """Return where all are after a time."""
        step = transition_33(span_s, self.habits.memory_s)
        added = self._swerve(size_of(means_N43))[..., None, None] * wander_33(span_s, self.habits.memory_s)
        return means_N43 @ step.T, step @ spread_N433 @ step.T + added

    def measured(self, size_N: Numbers) -> Numbers:
        """Return the variance of what a detector says of middle and sides, (N, 4).

        Two opposite sides are off by chance each: their mean by less, their distance by more.
        """
        side = self.habits.side_off**2 + (self.habits.side_off_share * size_N) ** 2
        return np.asarray(side[:, None] * np.array([0.5, 0.5, 2.0, 2.0]))

    def correct(self, means_N43: Numbers, spread_N433: Numbers, seen_N4: Numbers) -> tuple[Numbers, Numbers]:
        """Return what is known once each was seen there."""
        apart = seen_N4 - means_N43[:, :, 0]
        total = spread_N433[:, :, 0, 0] + self.measured(size_of(means_N43))
        gain = spread_N433[:, :, :, 0] / total[..., None]
        means = means_N43 + gain * apart[..., None]
        spread = spread_N433 - gain[..., :, None] * gain[..., None, :] * total[..., None, None]
        return means, spread

    def _swerve(self, size_N: Numbers) -> Numbers:
        swerve = self.habits.swerve**2 + (self.habits.swerve_share * size_N) ** 2
        return np.asarray(swerve[:, None] * self._of_sides)
