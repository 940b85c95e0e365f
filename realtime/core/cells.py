"""Add up small cells of a picture fast: the raw figures of the similarity gate.

A cell is 8 rows by 4 columns of one colour channel, so any square of 16 px covers some cells wholly, wherever
it lies. At edges that are no multiple of a block, cells are filled up with black: they see less, never more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CELL_ROWS, CELL_COLUMNS = 8, 4
CELL_PX = CELL_ROWS * CELL_COLUMNS
BLOCK_PX = 8
"""Edge of a block in a map of changes: two cells side by side."""

Pixels = npt.NDArray[np.uint8]
Blocks = npt.NDArray[np.bool_]
Sums = npt.NDArray[np.int16]


class CellSums:
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
        self.cells = 3 * height_px * width_px // CELL_PX
        """How many cells there are, of all channels."""
        is_whole = (height_px, width_px) == shape[:2]
        self._padded = None if is_whole else np.zeros((height_px, width_px, 3), np.uint8)
        words = width_px * 3 // 2
        self._high = np.empty((height_px, words), "<u2")
        self._sum_all, self._sum_high = (np.empty((self._rows, words), np.uint16) for _ in range(2))

    def __call__(self, pixels_HW3: Pixels) -> Sums:
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
