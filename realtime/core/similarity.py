"""Tell from two pictures whether the newer one is worth work: a gate that a stage may put before its own.

It answers the same question as the similarity filter of StreamDiffusion (Kodaira et al. 2023,
arXiv:2312.12491), differently: that one compares whole pictures by an angle, which sees neither a change of
brightness nor a small change; here means of small cells are compared, in levels of 0..255.

A cell is 8 rows by 4 columns of one colour channel, so any square of 16 px covers some cells wholly, wherever
it lies. Per channel, the differences d of the cells' means from those of the last *processed* picture are
taken as d = shift + noise, but for cells where something changed:

- `shift`, the median, is what the whole picture gained in brightness; it is known far better than one cell.
- The standard deviation of the noise is read off the lower quarter of |d - shift|, so up to three quarters of
  the picture may move. It is measured on means, so noise that neighbours share (compression) counts too. More
  than `MOST_NOISE_LEVELS` is taken for change. Cells that are alike to the last bit say nothing about noise
  (the bars beside a film, a blown-out sky) and are left out, unless they are most of the picture.
- `floor`, what the most extreme of N cells of pure Gaussian noise reaches: sqrt(2 ln 2N) deviations.

The excess of a picture is the greatest of |shift| and |d| - floor. At `threshold_levels` or beyond, the
picture is processed: certainly, on that call. Below, it is skipped with probability 1 - excess / threshold: 1
for equal pictures, 0 at the threshold. A skipped picture is not compared against later, so a slow change adds
up until it is seen. What keeps the mean of every cell (a finer texture that moves) is not seen.

At edges that are no multiple of a cell, cells are filled up with black: they see less, never more.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

CELL_ROWS, CELL_COLUMNS = 8, 4
CELL_PX = CELL_ROWS * CELL_COLUMNS
BLOCK_PX = 8
"""Edge of a block in the map of changes: two cells side by side."""
MOST_NOISE_LEVELS = 1.5
"""Standard deviation of the difference of two cells' means, at most: sensor noise of sigma 6 a pixel."""
LOWER_QUARTER = 0.3186
"""A quarter of a normal distribution lies within this many deviations of its mean."""
NOISE_SAMPLES = 1024
"""Cells a channel from which shift and noise are estimated; at most about twice as many."""
LEAST_THRESHOLD_LEVELS = 1e-6
"""What a threshold of 0 means."""

Reason = Literal["first", "size", "changed", "chance", "cap", "still"]
"""Why a picture is to be processed, or, "still", skipped. "first" and "size": nothing to compare with;
"chance": drawn, for a change below the threshold; "cap": it would have been skipped, but enough were."""

Pixels = npt.NDArray[np.uint8]
Blocks = npt.NDArray[np.bool_]
_Sums = npt.NDArray[np.int16]


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
        self._cells: _CellSums | None = None
        self._reference: _Sums | None = None
        self._skipped = 0

    @property
    def skipped_in_row(self) -> int:
        """Pictures skipped since the last processed one."""
        return self._skipped

    def reset(self) -> None:
        """Forget the reference: the next picture is a first one. The generator goes on."""
        self._reference = None
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
            self._cells, self._reference = _CellSums(pixels_HW3.shape), None
        cells = self._cells
        sums_3N = cells(pixels_HW3)
        if self._reference is None:
            return self._process(sums_3N, unseen, 0.0, cells.blocks(True))
        change = _Change(sums_3N, self._reference)
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

    def _process(self, sums_3N: _Sums, reason: Reason, likeness: float, changed: Blocks) -> Verdict:
        self._reference = sums_3N
        self._skipped = 0
        return Verdict(False, likeness, reason, changed)


class _CellSums:
    """Sum up the cells of pictures of one shape, with buffers of its own.

    Two bytes are looked at as one 16-bit word, so that rows are added in whole registers: words w = low +
    256 high add up to L + 256 H, modulo 65536. H is summed apart, and L, less than 65536, is what remains.
    Six words hold the four pixels of a row of a cell: red, blue, green, red, blue, green in their low bytes,
    and green, red, blue, green, red, blue in their high ones.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"a picture is (H, W, 3), got {shape}")
        self.shape = shape
        self._rows, self._blocks = -(-shape[0] // CELL_ROWS), -(-shape[1] // BLOCK_PX)
        height_px, width_px = self._rows * CELL_ROWS, self._blocks * BLOCK_PX
        is_whole = (height_px, width_px) == shape[:2]
        self._padded = None if is_whole else np.zeros((height_px, width_px, 3), np.uint8)
        words = width_px * 3 // 2
        self._high = np.empty((height_px, words), "<u2")
        self._sum_all, self._sum_high = (np.empty((self._rows, words), np.uint16) for _ in range(2))

    def __call__(self, pixels_HW3: Pixels) -> _Sums:
        """Return a new array of the cells' sums, (3, N)."""
        pixels = pixels_HW3
        if self._padded is not None:
            self._padded[: self.shape[0], : self.shape[1]] = pixels
            pixels = self._padded
        flat = np.ascontiguousarray(pixels).reshape(self._high.shape[0], -1)
        words = flat.view("<u2")
        np.right_shift(words, 8, out=self._high)
        by_cell = (self._rows, CELL_ROWS, -1)
        np.add.reduce(words.reshape(by_cell), axis=1, dtype=np.uint16, out=self._sum_all)
        np.add.reduce(self._high.reshape(by_cell), axis=1, dtype=np.uint16, out=self._sum_high)
        np.subtract(self._sum_all, self._sum_high << 8, out=self._sum_all)
        low_6N = np.ascontiguousarray(self._sum_all.reshape(-1, 6).T)
        high_6N = np.ascontiguousarray(self._sum_high.reshape(-1, 6).T)
        low_3N, high_3N = low_6N[:3] + low_6N[3:], high_6N[:3] + high_6N[3:]
        return (low_3N[[0, 2, 1]] + high_3N[[1, 0, 2]]).astype(np.int16)

    def blocks(self, cells_N: Blocks | bool) -> Blocks:
        """Map the blocks in which a cell is set, and those around them; or map one value to all blocks."""
        if isinstance(cells_N, bool):
            return np.full((self._rows, self._blocks), cells_N)
        hit = np.zeros((self._rows + 2, self._blocks + 2), np.bool_)
        hit[1:-1, 1:-1] = cells_N.reshape(self._rows, self._blocks, -1).any(axis=2)
        tall = hit[:-2] | hit[1:-1] | hit[2:]
        return tall[:, :-2] | tall[:, 1:-1] | tall[:, 2:]


class _Change:
    """Compare two sets of cells' sums; see the module for the model."""

    def __init__(self, sums_3N: _Sums, reference_3N: _Sums) -> None:
        change_3N = sums_3N - reference_3N
        deviations = math.sqrt(2.0 * math.log(2.0 * change_3N.size))
        shift_and_noise = np.array([_shift_and_noise(one) for one in change_3N])
        self._shift_levels = float(np.abs(shift_and_noise[:, 0]).max())
        self._floor_levels_3 = deviations * shift_and_noise[:, 1]
        self._size_3N = np.abs(change_3N)
        over_levels_3 = self._size_3N.max(axis=1) / CELL_PX - self._floor_levels_3
        self.excess_levels = max(0.0, self._shift_levels, float(over_levels_3.max()))

    def beyond(self, limit_levels: float) -> Blocks | bool:
        """Return which cells changed by `limit_levels` or more in some channel, (N,); True: all."""
        if self._shift_levels >= limit_levels:
            return True
        limit_3 = (self._floor_levels_3 + limit_levels) * CELL_PX
        found: Blocks = (self._size_3N >= limit_3[:, None]).any(axis=0)
        return found


def _shift_and_noise(change_N: _Sums) -> tuple[float, float]:
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
