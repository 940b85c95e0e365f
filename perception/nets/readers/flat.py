"""FlatBuffers as bytes (https://flatbuffers.dev/internals): tables whose fields are found by number.

Just what reading a network of TensorFlow Lite needs, so that no package has to be installed for it. Numbers
beyond the end raise struct.error or ValueError, as a torn file has them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Table:
    """Look at one table of a buffer."""

    content: bytes
    at: int

    def number(self, field: int, letter: str, default: int = 0) -> int:
        """Return a number, "b", "B", "i" or "I" as struct has them; a field left out has its default."""
        place = self._place(field)
        return default if place is None else _read(self.content, f"<{letter}", place)

    def table(self, field: int) -> Table | None:
        """Return the table that a field points to."""
        place = self._place(field)
        return None if place is None else _pointed(self.content, place)

    def tables(self, field: int) -> list[Table]:
        """Return the tables of a list."""
        start, count = self._list(field)
        return [_pointed(self.content, start + 4 * k) for k in range(count)]

    def numbers(self, field: int, dtype: str) -> npt.NDArray[np.generic]:
        """Return a list of numbers of a numpy type such as "<i4"."""
        start, count = self._list(field)
        return np.frombuffer(self.content, dtype, count, start) if count else np.zeros(0, dtype)

    def _place(self, field: int) -> int | None:
        """Return where a field's value lies; None when it was left out."""
        layout = self.at - _read(self.content, "<i", self.at)
        if layout < 0 or 4 + 2 * field >= _read(self.content, "<H", layout):
            return None
        offset = _read(self.content, "<H", layout + 4 + 2 * field)
        return self.at + offset if offset else None

    def _list(self, field: int) -> tuple[int, int]:
        """Return where a list begins and how long it is."""
        place = self._place(field)
        if place is None:
            return 0, 0
        start = place + _read(self.content, "<I", place)
        return start + 4, _read(self.content, "<I", start)


def root(content: bytes, mark: bytes) -> Table:
    """Return a buffer's first table. Raises ValueError when the buffer is not marked as wanted."""
    if content[4:8] != mark:
        raise ValueError(f"it is not marked {mark.decode()}")
    return _pointed(content, 0)


def _pointed(content: bytes, place: int) -> Table:
    return Table(content, place + _read(content, "<I", place))


def _read(content: bytes, form: str, place: int) -> int:
    if place < 0:
        raise ValueError("it points to before its beginning")
    return int(struct.unpack_from(form, content, place)[0])
