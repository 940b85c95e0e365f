"""How the camera's pictures moved, from any one that a session saw to any later one.

A frame's maps lead to the picture that they were made against. The painter may have painted another one
last: frames are left out when they are late, shown again when they are still, and lost between two stages. So
ways are put end to end, by the numbers of the pictures that they lead to. Where one is missing nothing is
known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from realtime.core.frame import Frame

from .motion import Map, chained, followed, to_cells, visible

KEPT = 16
"""Ways that are remembered: as many as frames can be in flight, or left out in a row."""
MOTION_MAPS = frozenset({"flow", "flow_back", "occlusion"})
"""Names of the maps of a frame that are about motion."""


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """Hold the motion of the painted square from one picture to a later one."""

    then: int
    """Number of the earlier picture."""
    now: int
    flow_SS2: Map
    """What is at x in the later one was at x + flow in the earlier, in cells of its own grid."""
    visible_SS: Map
    """What of the later one was to be seen in the earlier, 0 to 1."""

    def to(self, side: int) -> Way:
        """Return the same on a grid of another side."""
        if len(self.flow_SS2) == side:
            return self
        return Way(self.then, self.now, self.flow(side), _sized(self.visible_SS, side))

    def flow(self, side: int) -> Map:
        """Return the motion alone on a grid of another side, (s, s, 2)."""
        if len(self.flow_SS2) == side:
            return self.flow_SS2
        return _sized(self.flow_SS2, side) * np.float32(side / len(self.flow_SS2))


def _sized(map_SSn: Map, side: int) -> Map:
    how = cv2.INTER_AREA if 2 * side <= len(map_SSn) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(map_SSn, (side, side), interpolation=how), np.float32)


def way_of(frame: Frame) -> Way | None:
    """Return the way to the picture that the frame's maps lead to; None without a map "flow"."""
    maps: Mapping[str, Any] = frame.maps
    if (flow := maps.get("flow")) is None:
        return None
    before = frame.moved_from
    if before is not None and before.source != frame.stamp.source:
        return None
    then = frame.stamp.seq - 1 if before is None else before.seq
    flow_HW2 = np.asarray(flow, np.float32)
    flow_SS2 = to_cells(flow_HW2, min(flow_HW2.shape[:2]), is_length=True)
    return Way(then, frame.stamp.seq, flow_SS2, visible(maps, flow_SS2))


class Ways:
    """Remember one session's newest ways."""

    def __init__(self) -> None:
        self._ways: deque[Way] = deque(maxlen=KEPT)
        self._source, self._seq = "", -1
        self.is_told = False
        """Whether frames come with motion. Then one without begins something new."""

    def see(self, frame: Frame) -> None:
        """Take what a frame says. Every frame, also one that is not painted."""
        if frame.stamp.source != self._source or frame.stamp.seq <= self._seq:
            self.reset()  # another stream: numbers begin anew
        self._source, self._seq = frame.stamp.source, frame.stamp.seq
        if (way := way_of(frame)) is not None:
            self._ways.append(way)
            self.is_told = True

    def between(self, then: int, now: int) -> Way | None:
        """Return the way from picture `now` back to picture `then`; None when a part of it is not known."""
        whole: Way | None = None
        for way in reversed(self._ways):
            at = now if whole is None else whole.then
            if way.now > at:
                continue
            if way.now < at or way.then < then or (whole and len(way.flow_SS2) != len(whole.flow_SS2)):
                return None
            whole = way if whole is None else _joined(whole, way)
            if whole.then == then:
                return whole
        return None

    def reset(self) -> None:
        """Forget the stream."""
        self._ways.clear()
        self.is_told = False
        self._source, self._seq = "", -1


def _joined(later: Way, earlier: Way) -> Way:
    seen_SS = later.visible_SS * followed(earlier.visible_SS, later.flow_SS2)
    return Way(earlier.then, later.now, chained(later.flow_SS2, earlier.flow_SS2), seen_SS)
