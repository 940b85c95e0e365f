"""Pictures that a server may be sent: the same bytes for the same picture each time, so that its caches help.

They are thinned as they come: what looks like the one before only makes that one last longer. When there is
no room, the one leaves that showed the least that was new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perception.qa.kv.leaving import MIB, Index, Limits
from realtime.core.clock import NS_PER_S
from realtime.core.errors import EngineError
from realtime.core.frame import Frame

SPARED = 16
"""So many of the newest do not leave for want of novelty."""
LATELY = 64
"""A picture is compared with so many before it."""
SIDE = 16
ALIKE_LEVELS = 12.0
"""Pictures look alike when none of SIDE by SIDE cells differs by more in its mean, of 255."""

Pixels = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Kept:
    """Hold one picture."""

    number: int
    at_ns: int
    until_ns: int
    """When the last frame came that looked like it; grows while that is so."""
    jpeg: bytes
    """Empty once it was forgotten, for snapshots that hold it still."""
    novelty: float
    """Root mean square difference of cells, in levels, from the most alike of those before it."""
    embedding: Any = None
    """What an embedder made of it, (E,) of length 1; None without one."""


class FrameBank:
    """Keep pictures of one stream. One thread adds and forgets; any reads."""

    def __init__(
        self,
        keep_mib: float,
        every_s: float,
        size_px: int,
        quality: int,
        embed: Callable[[Pixels], Any] | None = None,
    ) -> None:
        """`size_px` is the longer side, `embed` makes a vector of a picture (H, W, 3)."""
        self._most_bytes, self._every_ns = int(keep_mib * MIB), int(every_s * NS_PER_S)
        self._size_px, self._quality, self._embed = size_px, quality, embed
        self._index: Index[Kept] = Index(Limits(keep_mib, evict="novelty", spare_newest=SPARED))
        self._lately: deque[Cells] = deque(maxlen=LATELY)
        self._looked_ns: int | None = None
        self._bytes = self._next = 0
        self.kept: tuple[Kept, ...] = ()
        """All pictures of this moment, the oldest first. Never changed, but replaced."""

    def push(self, frame: Frame) -> None:
        """Look at a frame if it comes long enough after the one before; keep it if it shows another sight."""
        at_ns = frame.stamp.captured_ns
        if self._looked_ns is not None and at_ns - self._looked_ns < self._every_ns:
            return
        self._looked_ns = at_ns
        import cv2

        cells = cv2.resize(frame.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        if self.kept and self._lately and float(np.abs(cells - self._lately[-1]).max()) < ALIKE_LEVELS:
            self.kept[-1].until_ns = at_ns
            return
        apart = (float(np.sqrt(((cells - other) ** 2).mean())) for other in self._lately)
        novelty = min(apart, default=255.0)
        self._lately.append(cells)
        embedding = self._embed(frame.pixels) if self._embed else None
        jpeg = jpeg_of(frame.pixels, self._size_px, self._quality)
        one = Kept(self._next, at_ns, at_ns, jpeg, novelty, embedding)
        self._next += 1
        self._index.add(one.number, at_ns, novelty, one)
        self._bytes += len(jpeg)
        while self._bytes > self._most_bytes and len(self._index) > 1:
            self._take(self._index.next_out())
        self.kept = tuple(self._index.get(number).item for number in self._index.numbers())

    def _take(self, number: int | None) -> Kept | None:
        entry = None if number is None else self._index.take(number)
        if entry is None:
            return None
        self._bytes -= len(entry.item.jpeg)
        return entry.item

    def picture(self, number: int) -> bytes | None:
        """Return the JPEG of a kept picture; None when it is gone."""
        try:
            return self._index.get(number).item.jpeg or None
        except KeyError:
            return None

    def forget(self, begin_ns: int, end_ns: int | None) -> int:
        """Delete pictures that show the time between two moments, out of snapshots too; return how many."""
        gone = [
            one for one in self.kept if one.until_ns >= begin_ns and (end_ns is None or one.at_ns < end_ns)
        ]
        for one in gone:
            self._take(one.number)
            one.jpeg, one.embedding = b"", None
        self.kept = tuple(one for one in self.kept if one.jpeg)
        if gone:
            self._lately.clear()
        return len(gone)


def jpeg_of(pixels_HW3: Pixels, size_px: int, quality: int) -> bytes:
    """Return a picture (H, W, 3) RGB, no larger than `size_px`, as the same bytes each time."""
    import cv2

    height, width = pixels_HW3.shape[:2]
    scale = min(1.0, size_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = pixels_HW3 if scale == 1.0 else cv2.resize(pixels_HW3, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise EngineError(f"A picture of {width} by {height} could not be written as JPEG.")
    return bytes(data.tobytes())
