"""Whether one thing moves or lies still, from where it was seen over the last second."""

from __future__ import annotations

from collections import deque

from realtime.core.clock import NS_PER_S

from .places import middle
from .records import Box

SPAN_NS = NS_PER_S
STARTS, STOPS = 0.08, 0.03
"""Shares of the picture by which a middle has to come away within a second to move, and to still move."""
LEAST_WAY = 0.1
"""Of a movement from begin to end, to be worth telling."""


class Moving:
    """Follow one thing."""

    def __init__(self) -> None:
        self._trail: deque[tuple[int, Box]] = deque()
        self.began: tuple[int, Box] | None = None
        """When and where it began to move; None while it lies still."""

    def see(self, box: Box, at_ns: int) -> tuple[tuple[int, Box], tuple[int, Box]] | None:
        """Take where it is; return begin and end of a movement that is over."""
        self._trail.append((at_ns, box))
        while len(self._trail) > 2 and self._trail[1][0] <= at_ns - SPAN_NS:
            self._trail.popleft()
        far = _far(self._trail[0][1], box)
        if self.began is None:
            if far >= STARTS:
                self.began = self._trail[0]
            return None
        if at_ns - self._trail[0][0] < SPAN_NS or max(_far(one, box) for _, one in self._trail) > STOPS:
            return None
        return self.over()

    def over(self) -> tuple[tuple[int, Box], tuple[int, Box]] | None:
        """End what goes on; return begin and end of the movement if it was one worth telling."""
        began, self.began = self.began, None
        if began is None or not self._trail:
            return None
        ended = self._trail[0] if len(self._trail) > 2 and _still(self._trail) else self._trail[-1]
        return (began, ended) if _far(began[1], ended[1]) >= LEAST_WAY else None

    def reset(self) -> None:
        """Forget where it was: the camera moved, or somebody wants it forgotten."""
        self._trail.clear()
        self.began = None


def _still(trail: deque[tuple[int, Box]]) -> bool:
    return max(_far(one, trail[-1][1]) for _, one in trail) <= STOPS


def _far(one: Box, other: Box) -> float:
    (x0, y0), (x1, y1) = middle(one), middle(other)
    return max(abs(x1 - x0), abs(y1 - y0))
