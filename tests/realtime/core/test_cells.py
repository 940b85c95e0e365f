"""Cells: the fast sums are the plain ones, of each channel, for any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.cells import BLOCK_PX, CELL_COLUMNS, CELL_ROWS, CellSums
from tests.vocabulary import timeless


@timeless
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 20, 256]))
def test_sums_are_those_of_plain_arithmetic(height_px: int, width_px: int, seed: int, levels: int) -> None:
    high = np.random.default_rng(seed).integers(0, levels, (height_px, width_px, 3))
    picture = (255 - high).astype(np.uint8)
    rows, blocks = -(-height_px // CELL_ROWS), -(-width_px // BLOCK_PX)
    whole = np.zeros((rows * CELL_ROWS, blocks * BLOCK_PX, 3), int)
    whole[:height_px, :width_px] = picture
    plain = whole.reshape(rows, CELL_ROWS, -1, CELL_COLUMNS, 3).sum(axis=(1, 3))
    sums = CellSums(picture.shape)
    for _ in range(2):  # its buffers hold nothing over
        found = sums(picture)
        assert found.size == sums.cells
        assert np.array_equal(found, plain.reshape(-1, 3).T)


def test_sums_are_arrays_of_their_own() -> None:
    sums = CellSums((16, 16, 3))
    first = sums(np.full((16, 16, 3), 7, np.uint8))
    sums(np.zeros((16, 16, 3), np.uint8))
    assert (first == 7 * CELL_ROWS * CELL_COLUMNS).all()


def test_a_map_marks_blocks_and_those_around_them() -> None:
    sums = CellSums((40, 50, 3))
    cells = np.zeros((5, 14), np.bool_)
    cells[0, 3] = cells[3, 13] = True
    marked = np.zeros((5, 7), np.bool_)
    marked[0:2, 0:3] = marked[2:5, 5:7] = True
    assert np.array_equal(sums.blocks(cells.ravel()), marked)
    assert sums.blocks(True).all()
    assert sums.blocks(False).shape == (5, 7)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3), (8, 0, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        CellSums(shape)
