"""Since when all is at rest, from picture to picture: what tells the noise of a sensor from motion.

Noise changes every pixel and moves nothing. So a picture may differ a lot from the one before and yet show
the same, and one that hardly differs may show a fine pattern that goes by.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_WAY = 0.25
"""Cells by which half of what is seen must have gone, from one picture to the next, to have moved. Noise of
30 levels a pixel, seen at half of 640x480, stays below 0.14."""
LEAST_SHARE = 0.015
"""Share of the detail that must move against the camera; the same noise stays below 0.01."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Remember when something moved last. Immutable."""

    known_ns: int | None = None
    """Since when each picture could be compared with the one before; None: not at all."""
    moved_ns: int = -1
    """The newest picture into which something moved."""

    def onward(self, at_ns: int, moved: bool | None) -> Rest:
        """Return what is known at the next picture; None: it could not be compared."""
        if moved is None:
            return Rest(at_ns, self.moved_ns)
        return Rest(self.known_ns, at_ns if moved else self.moved_ns)

    def moved(self, since_ns: int) -> bool | None:
        """Tell whether anything moved after a moment; None where pictures could not be compared since."""
        if self.moved_ns > since_ns:
            return True
        return None if self.known_ns is None or self.known_ns > since_ns else False
