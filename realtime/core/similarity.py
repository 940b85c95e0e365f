"""Tell from two pictures whether the newer one is worth work: a gate that a stage may put before its own.

It answers the same question as the similarity filter of StreamDiffusion (Kodaira et al. 2023,
arXiv:2312.12491), differently: that one compares whole pictures by an angle, which sees neither a change of
brightness nor a small change; here means of small cells (`cells.py`) are compared, in levels of 0..255.

Per channel, the differences d of the cells' means from those of the last *processed* picture are taken as
d = shift + noise, but for cells where something changed:

- `shift`, the median, is what the whole picture gained in brightness; it is known far better than one cell.
- The noise of this pair of pictures: its standard deviation is read off the lower quarter of |d - shift|, so
  up to three quarters of the picture may move. Cells that are alike to the last bit say nothing about noise
  (the bars beside a film, a blown-out sky) and are left out, unless they are most of the picture.
- The noise of each cell: how much its mean wandered from picture to picture of late, in the root mean square.
  Bright, detailed and compressed places are noisier than others. The greater of both counts, but at most
  `MOST_NOISE_LEVELS`; what goes beyond is change.
- `floor`, what the most extreme of N cells of Gaussian noise reaches: sqrt(2 ln 2N) deviations.

The excess of a picture is the greatest of |shift| and |d| - floor. At `threshold_levels` or beyond, the
picture is processed: certainly, on that call. Below, it is skipped with probability 1 - excess / threshold: 1
for equal pictures, 0 at the threshold. A skipped picture is not compared against later, so a slow change adds
up until it is seen. What keeps the mean of every cell (a finer texture that moves) is not seen.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .cells import CELL_PX, Blocks, CellSums, Pixels, Sums

MOST_NOISE_LEVELS = 2.0
"""Standard deviation of the difference of two cells' means, at most: sensor noise of sigma 8 a pixel."""
LOWER_QUARTER = 0.3186
"""A quarter of a normal distribution lies within this many deviations of its mean."""
NOISE_SAMPLES = 1024
"""Cells a channel from which shift and noise are estimated; at most about twice as many."""
MEMORY = 24
"""Pictures over which a cell's own noise is averaged."""
MOST_LEARNED_LEVELS = 4.0
"""More than this a cell is not taken to have wandered: a cut is no noise."""
LEAST_THRESHOLD_LEVELS = 1e-6
"""What a threshold of 0 means."""

Reason = Literal["first", "size", "changed", "chance", "cap", "still"]
"""Why a picture is to be processed, or, "still", skipped. "first" and "size": nothing to compare with;
"chance": drawn, for a change below the threshold; "cap": it would have been skipped, but enough were."""

_Levels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Say what to do with one picture."""

    skip: bool
    likeness: float
    """1.0: equal but for noise; 0.0: as different as the threshold, or more. The probability of a skip."""
    reason: Reason
    changed: Blocks
    """Which blocks of 8 by 8 px changed by the threshold or more, and those around them: (ceil(H/8),
    ceil(W/8)). All, when the brightness as a whole changed or there was nothing to compare with."""


class GateCounts:
    """Count verdicts by reason."""

    def __init__(self) -> None:
        self._seen: Counter[Reason] = Counter()

    def add(self, verdict: Verdict) -> None:
        """Count one verdict."""
        self._seen[verdict.reason] += 1

    def __getitem__(self, reason: Reason) -> int:
        return self._seen[reason]

    @property
    def seen(self) -> int:
        return self._seen.total()

    @property
    def skipped(self) -> int:
        return self._seen["still"]

    @property
    def processed(self) -> int:
        return self.seen - self.skipped


class SimilarityGate:
    """Remember the last processed picture of one stream and judge the next ones. One thread; never waits.

    `seed` starts its own generator of random numbers: equal pictures and settings give equal verdicts.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._cells: CellSums | None = None
        self._noise = _CellNoise(0)
        self._reference: Sums | None = None
        self._skipped = 0

    @property
    def skipped_in_row(self) -> int:
        """Pictures skipped since the last processed one."""
        return self._skipped

    def reset(self) -> None:
        """Forget all pictures: the next is a first one. The generator goes on."""
        self._cells = self._reference = None
        self._skipped = 0

    def look(self, pixels_HW3: Pixels, *, threshold_levels: float, max_skips: int) -> Verdict:
        """Judge the next picture; unless it is to be skipped, it becomes the one to compare with.

        `threshold_levels`: mean change of a cell, beyond noise, from which a picture counts as changed (2 to
        4 suit a camera; at 0 only what is equal but for noise is skipped). `max_skips`: most skips in a row;
        0 skips none. Raises ValueError for a picture that is not (H, W, 3) of uint8, or a negative setting.
        """
        if not (threshold_levels >= 0 and max_skips >= 0):
            raise ValueError(f"threshold and skips are 0 or more, got {threshold_levels} and {max_skips}")
        if pixels_HW3.dtype != np.uint8:
            raise ValueError(f"a picture is of uint8, got {pixels_HW3.dtype}")
        unseen: Reason = "first" if self._reference is None else "size"
        if self._cells is None or self._cells.shape != pixels_HW3.shape:
            self._cells, self._reference = CellSums(pixels_HW3.shape), None
            self._noise = _CellNoise(self._cells.cells)
        cells = self._cells
        sums_3N = cells(pixels_HW3)
        noise_levels_3N = self._noise.learn(sums_3N)
        if self._reference is None:
            return self._process(sums_3N, unseen, 0.0, cells.blocks(True))
        change = _Change(sums_3N, self._reference, noise_levels_3N)
        limit_levels = max(threshold_levels, LEAST_THRESHOLD_LEVELS)
        if change.excess_levels >= limit_levels:
            return self._process(sums_3N, "changed", 0.0, cells.blocks(change.beyond(limit_levels)))
        likeness = 1.0 - change.excess_levels / limit_levels
        nothing = cells.blocks(False)
        if self._random.random() >= likeness:
            return self._process(sums_3N, "chance", likeness, nothing)
        if self._skipped >= max_skips:
            return self._process(sums_3N, "cap", likeness, nothing)
        self._skipped += 1
        return Verdict(True, likeness, "still", nothing)

    def _process(self, sums_3N: Sums, reason: Reason, likeness: float, changed: Blocks) -> Verdict:
        self._reference = sums_3N
        self._skipped = 0
        return Verdict(False, likeness, reason, changed)


class _CellNoise:
    """Remember how much each cell wanders from picture to picture."""

    def __init__(self, cells: int) -> None:
        self._square_3N = np.zeros((3, cells // 3), np.float32)
        self._last_3N: Sums | None = None
        self._seen = 0

    def learn(self, sums_3N: Sums) -> _Levels:
        """Return each cell's noise in levels as it was before this picture; then learn from it."""
        before_3N: _Levels = np.sqrt(self._square_3N)
        if self._last_3N is not None:
            self._seen += 1
            step_3N = np.abs(sums_3N - self._last_3N).astype(np.float32)
            step_3N *= 1.0 / CELL_PX
            np.minimum(step_3N, MOST_LEARNED_LEVELS, out=step_3N)
            step_3N *= step_3N
            step_3N -= self._square_3N
            step_3N *= 1.0 / min(MEMORY, self._seen + 4)
            self._square_3N += step_3N
        self._last_3N = sums_3N
        return before_3N


class _Change:
    """Compare two sets of cells' sums; see the module for the model."""

    def __init__(self, sums_3N: Sums, reference_3N: Sums, noise_levels_3N: _Levels) -> None:
        change_3N = sums_3N - reference_3N
        estimates = [_shift_and_noise(one) for one in change_3N]
        self._shift_levels = max(abs(shift) for shift, _ in estimates)
        noise_levels_31 = np.array([[noise] for _, noise in estimates], np.float32)
        deviations = math.sqrt(2.0 * math.log(2.0 * change_3N.size))
        floor_3N = np.clip(noise_levels_3N, noise_levels_31, MOST_NOISE_LEVELS)
        floor_3N *= deviations
        self._over_levels_3N = np.abs(change_3N) * np.float32(1.0 / CELL_PX)
        self._over_levels_3N -= floor_3N
        self.excess_levels = max(0.0, self._shift_levels, float(self._over_levels_3N.max()))

    def beyond(self, limit_levels: float) -> Blocks | bool:
        """Return which cells changed by `limit_levels` or more in some channel, (N,); True: all."""
        if self._shift_levels >= limit_levels:
            return True
        found: Blocks = (self._over_levels_3N >= limit_levels).any(axis=0)
        return found


def _shift_and_noise(change_N: Sums) -> tuple[float, float]:
    """Estimate one channel's common shift and the deviation of its noise, in levels."""
    some = change_N[:: change_N.size // NOISE_SAMPLES | 1]  # odd: in step with no grid
    unlike = some[some != 0]
    if unlike.size * 4 < some.size:
        return 0.0, 0.0
    unlike.partition(unlike.size // 2)
    shift = unlike[unlike.size // 2]
    spread = np.abs(unlike - shift)
    spread.partition(spread.size // 4)
    noise_levels = float(spread[spread.size // 4]) / LOWER_QUARTER / CELL_PX
    return float(shift) / CELL_PX, min(noise_levels, MOST_NOISE_LEVELS)
