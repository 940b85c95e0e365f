"""Scenes for tests: things that move evenly, and a node that is watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perception.scene import Place, Scene, Things
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame
from tests.vocabulary import make_stamp

NAMES = ("person", "face", "car")


@dataclass(frozen=True)
class Even:
    """Know things that go on as they go."""

    things: Things

    def at(self, when_ns: int) -> Things:
        passed_s = (when_ns - self.things.at_ns) / NS_PER_S
        moved = self.things.xyxy_N4 + np.tile(self.things.velocity_N2 * passed_s, 2)
        return replace(self.things, at_ns=when_ns, xyxy_N4=moved.astype(np.float32))


def make_things(
    boxes: Sequence[Sequence[float]],
    *,
    at_ns: int = 0,
    velocity: Sequence[Sequence[float]] | None = None,
    kinds: Sequence[int] | None = None,
    scores: Sequence[float] | None = None,
    ids: Sequence[int] | None = None,
) -> Things:
    """Return things of `NAMES` in these boxes; what is not said is 0, 0.9 for scores, 0, 1, 2 ... for ids."""
    n = len(boxes)
    return Things(
        at_ns,
        np.array(range(n) if ids is None else ids, np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(velocity if velocity is not None else np.zeros((n, 2)), np.float32).reshape(-1, 2),
        np.array([0.9] * n if scores is None else scores, np.float32),
        np.array([0] * n if kinds is None else kinds, np.int64),
        NAMES,
    )


def make_scene(
    things: Things,
    size_px: tuple[int, int] = (64, 48),
    places: tuple[Place, ...] = (),
    source: str = "test",
) -> Scene:
    """Return the scene of a picture taken when the things were there."""
    return Scene(
        make_stamp(source=source, captured_ns=things.at_ns), size_px, "test", Even(things), places=places
    )


class Node:
    """Be a node that is watched."""

    def __init__(self, scene: Scene | None = None) -> None:
        self.newest: Any = scene

    def __call__(self) -> Scene | None:
        return self.newest  # type: ignore[no-any-return]


def plain_frame(
    captured_ns: int = 0, size_px: tuple[int, int] = (64, 48), level: int = 0, source: str = "test"
) -> Frame:
    """Return a picture of one grey."""
    width, height = size_px
    return Frame(
        make_stamp(source=source, captured_ns=captured_ns), np.full((height, width, 3), level, np.uint8)
    )
