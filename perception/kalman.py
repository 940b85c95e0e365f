"""How a thing moves, and what a box tells of it: Kalman filters for all tracks at once.

Each of middle x, middle y, width and height is a position with a velocity and an acceleration that is
remembered for a while and then forgotten (Singer 1970, doi:10.1109/TAES.1970.310128), over any time.

No one setting suits a car seen by a large detector and a waving hand seen by a small one. So several filters
of different habits run beside each other, and each is believed as far as it foretold what was seen (multiple
models: Magill 1965, doi:10.1109/TAC.1965.1098191). Lengths are shares of the picture's height, for both axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(8)
LEAST = 1e-4
"""No side is shorter: a tenth of a pixel."""
MEMORY_S = 1.0
"""How long an acceleration lasts."""
CALMER = np.array([1.0, 1.0, 0.2, 0.2])
"""How much less the sides change than the middle moves."""
START, START_SHARE = 0.3, 1.0
"""Deviation of the velocity of what is seen for the first time: heights/s, and sizes/s."""
KEPT = 0.95
"""What a filter's merits count for after one more picture."""
LEAST_WEIGHT = 1e-4
"""A filter that was wrong can be believed again."""


@dataclass(frozen=True, slots=True)
class Habit:
    """Say how exact a detector is and how a thing moves. What goes with size and what does not add up."""

    side_off: float
    """Deviation of a box's side, in heights of the picture."""
    side_off_share: float
    """The same as a share of the thing's size."""
    swerve: float
    """Deviation of the acceleration, in heights/s²."""
    swerve_share: float
    """The same in sizes/s²: what is near is large and moves much."""


EXACT, ROUGH = (0.0015, 0.015), (0.005, 0.03)
CALM, AGILE = (0.08, 0.25), (1.5, 4.0)
HABITS = tuple(Habit(*seen, *moves) for seen, moves in product((EXACT, ROUGH), (CALM, AGILE)))
"""One setting for all detectors and delays."""


class Beliefs(NamedTuple):
    """Hold what M filters know of N tracks."""

    means_NM43: Numbers
    """Middle x and y, width, height; position, velocity, acceleration."""
    spread_NM433: Numbers
    weights_NM4: Numbers
    """How far each is believed: 1 in all. The middle has its own, and the sides have theirs."""

    def mean_N43(self) -> Numbers:
        """Return what they say together."""
        return np.asarray(np.einsum("nmki,nmk->nki", self.means_NM43, self.weights_NM4))


class Bank:
    """Do the sums. It holds no tracks, only what its habits say."""

    def __init__(self, habits: Sequence[Habit] = HABITS) -> None:
        rows = np.array([[one.side_off, one.side_off_share, one.swerve, one.swerve_share] for one in habits])
        self._side, self._side_share, self._swerve, self._swerve_share = rows.T
        self.even_M4 = np.full((len(habits), 4), 1 / len(habits))
        """Weights of filters of which nothing is known."""

    def begin(self, seen_N4: Numbers, weights_M4: Numbers) -> Beliefs:
        """Return beliefs of what is seen for the first time, at rest."""
        count, models = len(seen_N4), len(weights_M4)
        means = np.zeros((count, models, 4, 3))
        means[..., 0] = seen_N4[:, None]
        size = size_of(means[:, 0])
        spread = np.zeros((count, models, 4, 3, 3))
        spread[..., 0, 0] = self._measured(size)
        start = START**2 + (START_SHARE * size) ** 2
        spread[..., 1, 1] = start[:, None, None] * CALMER**2
        spread[..., 2, 2] = self._swerving(size)
        return Beliefs(means, spread, np.tile(weights_M4, (count, 1, 1)))

    def advance(self, of: Beliefs, span_s: float) -> Beliefs:
        """Return beliefs after a time."""
        step = transition_33(span_s)
        added = self._swerving(size_of(of.mean_N43()))[..., None, None] * wander_33(span_s)
        return Beliefs(of.means_NM43 @ step.T, step @ of.spread_NM433 @ step.T + added, of.weights_NM4)

    def expected(self, of: Beliefs) -> tuple[Numbers, Numbers]:
        """Return what a detector would say of each track, (N, 4), and the variance of that."""
        means = of.mean_N43()
        apart = of.means_NM43[..., 0] - means[:, None, :, 0]
        each = of.spread_NM433[..., 0, 0] + self._measured(size_of(means)) + apart**2
        return means[..., 0], (each * of.weights_NM4).sum(axis=1)

    def correct(self, of: Beliefs, seen_N4: Numbers) -> Beliefs:
        """Return beliefs once each track was seen there."""
        apart = seen_N4[:, None] - of.means_NM43[..., 0]
        total = of.spread_NM433[..., 0, 0] + self._measured(size_of(of.mean_N43()))
        gain = of.spread_NM433[..., :, 0] / total[..., None]
        return Beliefs(
            of.means_NM43 + gain * apart[..., None],
            of.spread_NM433 - gain[..., :, None] * gain[..., None, :] * total[..., None, None],
            _weighed(of.weights_NM4, -0.5 * (apart**2 / total + np.log(total))),
        )

    def _measured(self, size_N: Numbers) -> Numbers:
        """Return the variance of what a detector says of middle and sides, (N, M, 4).

        Two opposite sides are off by chance each: their mean by less, their distance by more.
        """
        side = self._side**2 + (self._side_share * size_N[:, None]) ** 2
        return np.asarray(side[..., None] * np.array([0.5, 0.5, 2.0, 2.0]))

    def _swerving(self, size_N: Numbers) -> Numbers:
        swerve = self._swerve**2 + (self._swerve_share * size_N[:, None]) ** 2
        return np.asarray(swerve[..., None] * CALMER**2)


def transition_33(span_s: float) -> Numbers:
    """Return what becomes of position, velocity and acceleration over a time, which may be negative."""
    span = abs(span_s)
    left = np.exp(-span / MEMORY_S)
    turned = MEMORY_S * MEMORY_S * (span / MEMORY_S - 1 + left)
    gained = np.copysign(MEMORY_S * (1 - left), span_s)
    return np.array([[1.0, span_s, turned], [0.0, 1.0, gained], [0.0, 0.0, left]])


def wander_33(span_s: float) -> Numbers:
    """Return the covariance that swerving of deviation 1 adds over a time: its response, integrated."""
    span = abs(span_s)
    times = (POINTS + 1) * span / 2
    left = np.exp(-times / MEMORY_S)
    turned = MEMORY_S * MEMORY_S * (times / MEMORY_S - 1 + left)
    response = np.stack([turned, MEMORY_S * (1 - left), left])
    return np.asarray((response * WEIGHTS) @ response.T * (span / MEMORY_S))


def size_of(means_N43: Numbers) -> Numbers:
    """Return the geometric mean of the sides, (N,)."""
    return np.asarray(np.sqrt(np.maximum(means_N43[:, 2:, 0], LEAST).prod(axis=1)))


def _weighed(weights_NM4: Numbers, merits_NM4: Numbers) -> Numbers:
    """Return weights after a picture, given the logarithm of how likely each filter found what was seen."""
    both = np.add.reduceat(merits_NM4, [0, 2], axis=2)
    logs = KEPT * np.log(weights_NM4) + np.repeat(both, 2, axis=2)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights = np.maximum(weights / weights.sum(axis=1, keepdims=True), LEAST_WEIGHT)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
