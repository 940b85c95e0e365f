"""Where things are that have to stay covered: those that are seen, and those that were a moment ago.

A cover grows with what is not known: with the time between the picture in which a thing was found and the
shown one, times its speed. So it reaches from the place where the thing was to where it is expected, and as
far beyond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from perception.kinds import are_of, kinds_of, picked
from perception.scene import Scene, Things, in_view
from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.frame import Stamp

from .config import CoverConfig
from .shapes import Shape

FACE = "face"
FAR = 4.0
"""Covers end so many pictures outside."""
Key = tuple[str, int]
Size = tuple[int, int]


class Hold:
    """Remember where things were found last. One session's, on one lane."""

    def __init__(self) -> None:
        self._last: dict[Key, tuple[Stamp, Size, Things]] = {}
        """The picture in which a thing was found, its size, and the thing alone."""

    def note(self, node: str, scene: Scene, config: CoverConfig) -> None:
        """Remember what is found in a scene's own picture, and forget what nobody covers any more."""
        now_ns = scene.stamp.captured_ns
        things = chosen(scene.at(now_ns), config)
        for k, which in enumerate(things.ids_N.tolist()):
            one = picked(things, np.arange(len(things)) == k)
            self._last[node, which] = (scene.stamp, scene.size_px, one)
        oldest_ns = now_ns - round(2 * max(config.hold_ms, config.stale_ms) * NS_PER_MS)
        self._last = {key: held for key, held in self._last.items() if held[0].captured_ns >= oldest_ns}

    def shapes(
        self, stamp: Stamp, shown: Size, scenes: Sequence[tuple[str, Scene]], config: CoverConfig
    ) -> list[Shape]:
        """Return what is covered in a picture of that stamp and size, with the scenes nearest to it."""
        found: list[Shape] = []
        seen: set[Key] = set()
        for node, scene in scenes:
            things = chosen(scene.at(stamp.captured_ns), config)
            seen |= {(node, which) for which in things.ids_N.tolist()}
            late_s = abs(stamp.captured_ns - scene.stamp.captured_ns) / NS_PER_S
            found += shapes_of(in_view(things, scene.size_px, shown), late_s, config)
        for late_s, size, one in self._held(stamp, seen, config.hold_ms):
            moved = replace(one, xyxy_N4=one.xyxy_N4 + np.tile(one.velocity_N2 * np.float32(late_s), 2))
            found += shapes_of(in_view(moved, size, shown), abs(late_s), config)
        return found

    def reset(self) -> None:
        """Forget all."""
        self._last.clear()

    def _held(
        self, stamp: Stamp, seen: Iterable[Key], hold_ms: float
    ) -> Iterator[tuple[float, Size, Things]]:
        """Give the things that are not among `seen`, and how long before the picture they were found."""
        known = set(seen)
        for key, (found, size, one) in self._last.items():
            late_ns = stamp.captured_ns - found.captured_ns
            if key not in known and found.source == stamp.source and abs(late_ns) <= hold_ms * NS_PER_MS:
                yield late_ns / NS_PER_S, size, one


def chosen(things: Things, config: CoverConfig) -> Things:
    """Return the things that are to be covered."""
    is_wanted = are_of(things, kinds_of(config.kinds)) & (things.scores_N >= config.least_score)
    found = picked(things, is_wanted & np.isfinite(things.xyxy_N4).all(1))
    return replace(found, velocity_N2=np.nan_to_num(found.velocity_N2))


def shapes_of(things: Things, late_s: float, config: CoverConfig) -> list[Shape]:
    """Return the covers of things where they are expected, `late_s` after they were found."""
    boxes = things.xyxy_N4
    sizes = boxes[:, 2:] - boxes[:, :2]
    bends = (0.5 + config.margin) * sizes
    grown = config.margin * sizes + np.abs(things.velocity_N2) * np.float32(late_s)
    covers = np.concatenate([boxes[:, :2] - grown, boxes[:, 2:] + grown], axis=1).clip(-FAR, 1 + FAR)
    patches = sizes / config.cells
    return [
        Shape(
            tuple(covers[k].tolist()),
            tuple(patches[k].tolist()),
            tuple(bends[k].tolist()) if things.names[kind] == FACE else (0.0, 0.0),
        )
        for k, kind in enumerate(things.kinds_N.tolist())
    ]
