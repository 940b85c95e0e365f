"""Where things have been: the middles of their boxes in the pictures in which they were seen."""

from __future__ import annotations

from collections import deque

import numpy as np

from perception.scene import Points, Scene
from realtime.core.clock import NS_PER_S

KEPT = 256
"""Places of a thing."""
Key = tuple[str, int]
"""Name of the node that saw a thing, and the thing's number."""


class Trails:
    """Remember places of things. One session's, on one lane."""

    def __init__(self) -> None:
        self._places: dict[Key, deque[tuple[int, float, float]]] = {}

    def note(self, node: str, scene: Scene, kept_s: float) -> None:
        """Remember where the things were in a scene's own picture; forget what is older than `kept_s`."""
        now_ns = scene.stamp.captured_ns
        things = scene.at(now_ns)
        middles = (things.xyxy_N4[:, :2] + things.xyxy_N4[:, 2:]) / 2
        for which, (x, y) in zip(things.ids_N.tolist(), middles.tolist(), strict=True):
            places = self._places.setdefault((node, which), deque(maxlen=KEPT))
            if not places or places[-1][0] < now_ns:
                places.append((now_ns, x, y))
        oldest_ns = now_ns - round(kept_s * NS_PER_S)
        for key in [key for key, places in self._places.items() if places[-1][0] < oldest_ns]:
            del self._places[key]

    def of(self, key: Key, since_ns: int, until_ns: int) -> Points:
        """Return the places of a thing within a time, the oldest first, (K, 2)."""
        found = [place[1:] for place in self._places.get(key, ()) if since_ns <= place[0] < until_ns]
        return np.array(found, np.float32).reshape(-1, 2)

    def reset(self) -> None:
        """Forget all."""
        self._places.clear()
