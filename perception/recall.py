"""What was seen lately, so that a picture meets the scene that tells most of its own moment.

A painted picture is older than the newest scene, one that only passes is younger than all of them. Scenes are
joined to pictures by their stamps: the nearest in time tells, and `Scene.at` bridges what is left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from realtime.core.clock import NS_PER_MS
from realtime.core.frame import Stamp

KEPT = 64
"""Scenes of a node: two seconds at 30 a second."""
Watched = Mapping[str, Callable[[], Any | None]]


class Stamped(Protocol):
    """What was seen in one picture, such as a scene."""

    @property
    def stamp(self) -> Stamp: ...


S = TypeVar("S", bound=Stamped)


class Recall(Generic[S]):
    """Remember the newest scenes of each watched node, or what else it sees. One session's, on one lane."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._scenes: dict[str, deque[S]] = {}
        self._done_with: dict[str, S] = {}
        """The newest scenes at `reset`: they belong to the stream that ended."""

    def look(self, watched: Watched) -> list[tuple[str, S]]:
        """Take what is new, and return it with the names of the nodes. Never waits."""
        new = []
        for node, newest in watched.items():
            scene = newest()
            scenes = self._scenes.setdefault(node, deque(maxlen=self._kept))
            is_known = bool(scenes) and scenes[-1] is scene
            if scene is not None and not is_known and scene is not self._done_with.get(node):
                scenes.append(scene)
                new.append((node, scene))
        return new

    def nearest(self, stamp: Stamp, stale_ms: float) -> list[tuple[str, S]]:
        """Return each node's name and its scene that is nearest to a picture of the same source.

        A node whose nearest scene is more than `stale_ms` away is left out.
        """
        found = []
        for node, scenes in self._scenes.items():
            best, least_ms = None, stale_ms
            for scene in reversed(scenes):  # the newest first: once they are further away, all are
                if scene.stamp.source != stamp.source:
                    continue
                late_ms = lateness_ms(scene, stamp)
                if best is not None and late_ms > least_ms:
                    break
                if late_ms <= least_ms:
                    best, least_ms = scene, late_ms
            if best is not None:
                found.append((node, best))
        return found

    def reset(self) -> None:
        """Forget all, also what the nodes still hold of the stream that ended."""
        for node, scenes in self._scenes.items():
            if scenes:
                self._done_with[node] = scenes[-1]
        self._scenes.clear()


def lateness_ms(scene: Stamped, stamp: Stamp) -> float:
    """Return how far in time a scene's picture is from another one, either way."""
    return abs(stamp.captured_ns - scene.stamp.captured_ns) / NS_PER_MS
