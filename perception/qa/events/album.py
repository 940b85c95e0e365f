"""Keep small pictures of the moments that matter: something comes or goes, a cut, and now and then."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime.core.clock import NS_PER_S


@dataclass(frozen=True, slots=True)
class Pictures:
    """Say which pictures are kept."""

    width_px: int = 160
    quality: int = 80
    """Of JPEG, 1 to 100."""
    apart_s: float = 1.0
    """No two are nearer to each other."""
    every_s: float = 30.0
    """One at least so often, when nothing happens."""


HELD_S = 4.0
"""What is wished for may lie so far back: that something is gone is known after a while only."""
HELD = 24
APART_S = 0.15
"""Between two pictures that are held."""
NEAR_S = 1.5
"""A picture so near to a moment shows it."""


class Album:
    """Choose among the pictures of one stream."""

    def __init__(self, settings: Pictures | None = None) -> None:
        self._settings = settings or Pictures()
        self._held: deque[tuple[int, npt.NDArray[np.uint8]]] = deque(maxlen=HELD)
        self._wished: list[int] = []
        self._kept: deque[int] = deque(maxlen=64)

    def wish(self, at_ns: int) -> None:
        """Ask for a picture of a moment that is past or now."""
        if len(self._wished) < HELD:
            self._wished.append(at_ns)

    def see(self, pixels: npt.NDArray[np.uint8], at_ns: int) -> list[tuple[int, bytes]]:
        """Take a picture (H, W, 3) RGB; return those that are to be kept, with their times."""
        if not self._held or at_ns - self._held[-1][0] >= APART_S * NS_PER_S:
            self._held.append((at_ns, _small(pixels, self._settings.width_px)))
        while self._held and at_ns - self._held[0][0] > HELD_S * NS_PER_S:
            self._held.popleft()
        if not self._kept or at_ns - self._kept[-1] >= self._settings.every_s * NS_PER_S:
            self.wish(at_ns)
        found = []
        wishes, self._wished = self._wished, []
        for wished_ns in wishes:
            if wished_ns > at_ns:
                self._wished.append(wished_ns)
                continue
            when_ns, small = min(self._held, key=lambda one: abs(one[0] - wished_ns))
            if abs(when_ns - wished_ns) > NEAR_S * NS_PER_S:
                continue
            near = [one for one in self._kept if abs(when_ns - one) < self._settings.apart_s * NS_PER_S]
            if not near:
                self._kept.append(when_ns)
                found.append((when_ns, _jpeg(small, self._settings.quality)))
            elif max(near) < wished_ns:  # what came just after a picture is shown by the next one
                self._wished.append(max(near) + round(self._settings.apart_s * NS_PER_S))
        return found

    def forget(self, begin_ns: int, end_ns: int) -> None:
        """Let go of what was held of a span of time."""
        kept = [one for one in self._held if not begin_ns <= one[0] <= end_ns]
        self._held.clear()
        self._held.extend(kept)
        self._wished = [one for one in self._wished if not begin_ns <= one <= end_ns]


def _small(pixels: npt.NDArray[np.uint8], width_px: int) -> npt.NDArray[np.uint8]:
    import cv2

    height, width = pixels.shape[:2]
    if width <= width_px:
        return pixels.copy()
    size = (width_px, max(round(height * width_px / width), 1))
    small: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small  # type: ignore[no-any-return]


def _jpeg(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    import cv2

    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return bytes(data)
