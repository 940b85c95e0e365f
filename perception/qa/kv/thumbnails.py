"""Small pictures of what was encoded, to show beside an answer; bounded, and gone when the frame is."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

WIDTH_PX = 192
QUALITY = 72


class Thumbnails:
    """Keep JPEGs by number and by time. One thread adds and forgets, any reads."""

    def __init__(self, most_mib: float) -> None:
        self._most_bytes = int(most_mib * (1 << 20))
        self._kept: dict[int, tuple[int, bytes]] = {}
        self._number_at: dict[int, int] = {}
        self._bytes = self._next = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def used_bytes(self) -> int:
        return self._bytes

    def add(self, pixels_HW3: npt.NDArray[np.uint8], at_ns: int) -> int:
        """Keep a small copy and return its number; the oldest leave for it."""
        from PIL import Image

        picture = Image.fromarray(pixels_HW3)
        picture.thumbnail((WIDTH_PX, WIDTH_PX))
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=QUALITY)
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._kept[number] = at_ns, written.getvalue()
            self._number_at[at_ns] = number
            self._bytes += len(self._kept[number][1])
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))
        return number

    def get(self, number: int) -> bytes | None:
        """Return a JPEG; None when it is gone."""
        kept = self._kept.get(number)
        return None if kept is None else kept[1]

    def at(self, at_ns: int) -> int | None:
        """Return the number of the picture of a moment; None without one."""
        return self._number_at.get(at_ns)

    def forget(self, begin_ns: int, end_ns: int) -> None:
        """Drop pictures of a stretch of time."""
        with self._lock:
            for number in [n for n, (at_ns, _) in self._kept.items() if begin_ns <= at_ns < end_ns]:
                self._drop(number)

    def _drop(self, number: int) -> None:
        at_ns, jpeg = self._kept.pop(number)
        self._number_at.pop(at_ns, None)
        self._bytes -= len(jpeg)
