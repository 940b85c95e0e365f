"""Which frames a session paints, and with how many steps: the still ones are skipped, and age has a limit.

The similarity gate skips a frame that looks like the last painted one, as long as nothing else about the
painting changed. The governor lowers steps, then the rate, before pictures get older than the limit.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from realtime.core.clock import NS_PER_MS, Clock
from realtime.core.frame import Frame, Stamp
from realtime.core.governor import Governor, Plan
from realtime.core.metrics import Histogram
from realtime.core.movement import Movement
from realtime.core.similarity import GateCounts, SimilarityGate

from .config import PaintConfig
from .painter import REST, Painter
from .pictures import Pixels
from .ways import MOTION_MAPS
from .wish import Wish

STILL = "still: the last picture again"
LATE = "left out to keep the limit of age"
AGES_WINDOW_S = 2.0
AGES_TRUSTED = 20
"""Pictures in the window from which their age is believed."""
FRESH_NS = 100 * NS_PER_MS
"""Motion that was seen longer before a frame says nothing about it."""
AT_REST = 6.0
"""Times as much must change where nothing moves: light, or what appears, but not noise."""
SMOOTHING = 0.2
"""Weight of the newest interval between two frames in their mean."""


@dataclass(frozen=True, slots=True)
class Given:
    """Hold all that decides a picture besides the frame: while it is equal, a still frame may be skipped."""

    version: int
    words: object
    wish: Wish
    fit: object


class Pace:
    """Decide about the frames of one session. On the painting lane."""

    def __init__(self, painter: Painter, clock: Clock, seed: int = 0) -> None:
        self._painter = painter
        self._governor = Governor(clock, painter.costs)
        self._gate = SimilarityGate(seed)
        self.counts = GateCounts()
        """What the gate said of the frames that it saw."""
        self.plan: Plan | None = None
        """What the governor last said."""
        self._given: Given | None = None
        self._maps: Mapping[str, Any] = {}
        self._painted_ns = 0
        """When the frame was taken that others are compared with."""
        self._before_ns: int | None = None
        self._interval_ms = 0.0
        self._tick = 0
        self._age_ms = Histogram("age_ms", AGES_WINDOW_S, clock)

    def reset(self) -> None:
        """Forget the stream: the next frame is painted."""
        self._gate.reset()
        self._given = None
        self._maps = {}
        self._before_ns = None

    def planned(
        self, frame: Frame, wish: Wish, config: PaintConfig, key: Hashable, rows_per_step: int
    ) -> Wish:
        """Return the wish with as many steps as the limit of age allows, given how fast frames come."""
        self._tick += 1
        if self._before_ns is not None and frame.stamp.captured_ns > self._before_ns:
            gone_ms = (frame.stamp.captured_ns - self._before_ns) / NS_PER_MS
            self._interval_ms += (SMOOTHING if self._interval_ms else 1.0) * (gone_ms - self._interval_ms)
        self._before_ns = frame.stamp.captured_ns
        if not config.max_age_ms or not self._interval_ms:
            self.plan = None
            return wish
        self._painter.is_governed = True
        self.plan = self._governor.plan(
            key,
            wanted_steps=len(wish),
            max_age_ms=config.max_age_ms,
            interval_ms=self._interval_ms,
            rows_per_step=rows_per_step,
            sessions=max(self._painter.sessions, 1),
            rest_key=REST,
            age_p95_ms=self._age_ms.quantile(0.95) if self._age_ms.recent >= AGES_TRUSTED else None,
        )
        return fewer(wish, self.plan.steps)

    def came_out(self, frame_age_ms: float) -> None:
        """Take note of how old a painted picture was when it came out."""
        if self.plan is not None:
            self._age_ms.observe(frame_age_ms)

    @property
    def in_one_go(self) -> bool:
        """Whether frames take all their steps at once, which is seen sooner where the machine keeps pace."""
        return self.plan is not None and self.plan.way == "burst"

    def is_left_out(self, place: int) -> bool:
        """Tell whether the limit of age has no room for this frame; sessions take turns by `place`."""
        return self.plan is not None and not self.plan.admits(self._tick, place)

    def is_still(
        self,
        frame: Frame,
        pixels: Pixels,
        given: Given,
        config: PaintConfig,
        movement: Movement | None = None,
    ) -> bool:
        """Tell whether the frame may show the last picture again; `movement` is the newest that is known."""
        if not config.skip_still or config.vary:
            self._gate.reset()
            return False
        if given != self._given or not _same(frame.maps, self._maps):
            self._gate.reset()
        moved = self._moved(frame.stamp, movement) if config.still_motion else None
        verdict = self._gate.look(
            pixels,
            threshold_levels=config.still_levels * (AT_REST if moved is False else 1.0),
            max_skips=0 if moved else config.max_skips,
        )
        self.counts.add(verdict)
        if not verdict.skip:
            self._given, self._maps = given, frame.maps
            self._painted_ns = frame.stamp.captured_ns
        return verdict.skip

    def _moved(self, stamp: Stamp, movement: Movement | None) -> bool | None:
        """Tell whether anything moved since the frame that was painted last; None where nobody knows."""
        if movement is None or movement.stamp.source != stamp.source:
            return None
        if stamp.captured_ns - movement.stamp.captured_ns > FRESH_NS:
            return None
        return movement.moved(self._painted_ns)


def fewer(wish: Wish, steps: int) -> Wish:
    """Return the wish with at most `steps` steps: of exact levels, evenly spaced ones."""
    if steps >= len(wish):
        return wish
    if not wish.t_index:
        return replace(wish, steps=steps)
    last = len(wish.t_index) - 1
    places = [round(k * last / max(steps - 1, 1)) for k in range(steps)]
    return replace(wish, t_index=tuple(wish.t_index[place] for place in places))


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two frames came with the same maps. Motion does not count: the gate sees for itself."""
    names = one.keys() - MOTION_MAPS
    return names == other.keys() - MOTION_MAPS and all(
        one[name] is other[name] or np.array_equal(one[name], other[name]) for name in names
    )
