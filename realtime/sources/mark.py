"""A number drawn into a picture so that age and order can be read from the picture itself, not from a log.

It survives what happens on the way: cropping to the centre square, resizing, lossy video, a change of colours
(also swapped or inverted brightness) and a painter that keeps structure. All positions refer to the centre
square of the picture, so the usual square crop keeps the mark whole:

    side = min(width, height);  x0 = (width - side) // 2;  y0 = (height - side) // 2

The lowest quarter of that square is a grid of 3 rows x 12 columns of square cells. Cell (row, column) spans
`x0 + side*column//12 .. x0 + side*(column+1)//12` by `y0 + side*(9+row)//12 .. y0 + side*(10+row)//12`. In
reading order the 36 cells are:

    0-3     white, black, black, white: they tell polarity and the two colours
    4-27    the number, 24 bits, most significant first, white = 1
    28-35   CRC-8 (polynomial 0x07, start 0x00) of the number's three bytes, most significant byte first

Reading: the mean colour of the inner half of each cell (25 % to 75 % both ways) is projected on the line from
the black cells' colour to the white cells' colour (black -> 0, white -> 1); a cell is white from 0.5 on. The
answer is None when the two colours differ by less than 24 (of 255), when a cell lies in 0.4 .. 0.6 (a blend
of two pictures) or when the CRC differs. The twin for a browser is `tests/mark.js`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROWS, COLUMNS = 3, 12
NUMBER_BITS, CHECK_BITS = 24, 8
NUMBERS = 1 << NUMBER_BITS
"""Numbers wrap around here: 16 777 216, a week at 27 pictures a second."""
REFERENCE = (1, 0, 0, 1)
SMALLEST_SIDE_PX = 48
_CONTRAST = 24.0
_BLEND = 0.1

Pixels = npt.NDArray[np.uint8]


def crc8(data: bytes) -> int:
    """Return the CRC-8 of `data`: polynomial 0x07, start 0, not reflected."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def mark_bits(number: int) -> tuple[int, ...]:
    """Return the 36 cells of `number` in reading order, 1 = white."""
    number %= NUMBERS
    word = number << CHECK_BITS | crc8(number.to_bytes(3, "big"))
    bits = NUMBER_BITS + CHECK_BITS
    return REFERENCE + tuple(word >> (bits - 1 - i) & 1 for i in range(bits))


def _square(pixels: Pixels) -> tuple[int, int, int]:
    height, width = pixels.shape[:2]
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def write_mark(pixels: Pixels, number: int) -> None:
    """Draw `number` modulo 2**24 into `pixels` (H, W, 3), in place."""
    x0, y0, side = _square(pixels)
    if side < SMALLEST_SIDE_PX:
        raise ValueError(f"a mark needs a picture of at least {SMALLEST_SIDE_PX} px, got {pixels.shape}")
    for i, bit in enumerate(mark_bits(number)):
        row, column = divmod(i, COLUMNS)
        top, bottom = y0 + side * (9 + row) // COLUMNS, y0 + side * (10 + row) // COLUMNS
        left, right = x0 + side * column // COLUMNS, x0 + side * (column + 1) // COLUMNS
        pixels[top:bottom, left:right] = 255 * bit


def read_mark(pixels: Pixels) -> int | None:
    """Read the number back from `pixels` (H, W, 3); None when no mark can be trusted."""
    x0, y0, side = _square(pixels)
    if side < SMALLEST_SIDE_PX // 2:
        return None
    cell_px = side / COLUMNS
    colours_C3 = np.empty((ROWS * COLUMNS, 3), np.float64)
    for i in range(ROWS * COLUMNS):
        row, column = divmod(i, COLUMNS)
        top, left = y0 + cell_px * (9 + row), x0 + cell_px * column
        inner = pixels[
            int(top + 0.25 * cell_px) : max(int(top + 0.75 * cell_px), int(top + 0.25 * cell_px) + 1),
            int(left + 0.25 * cell_px) : max(int(left + 0.75 * cell_px), int(left + 0.25 * cell_px) + 1),
        ]
        colours_C3[i] = inner.reshape(-1, 3).mean(axis=0)
    white = colours_C3[[0, 3]].mean(axis=0)
    black = colours_C3[[1, 2]].mean(axis=0)
    axis = white - black
    length = float(np.linalg.norm(axis))
    if length < _CONTRAST:
        return None
    levels_C = (colours_C3 - black) @ axis / length**2
    if bool((np.abs(levels_C - 0.5) < _BLEND).any()):
        return None
    bits = [int(level > 0.5) for level in levels_C]
    if tuple(bits[:4]) != REFERENCE:
        return None
    word = int("".join(map(str, bits[4:])), 2)
    number = word >> CHECK_BITS
    return number if crc8(number.to_bytes(3, "big")) == word & 0xFF else None
