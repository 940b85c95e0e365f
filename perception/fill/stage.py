"""The stage that shows a painting for each camera picture: the newest one, moved to where things are now.

A painter gives fewer pictures than a camera, and late ones. This stage takes every camera picture and watches
the painter. What it gives has the stamp of the camera picture whose moment it shows; how old the paint in it
is, is a figure of its own. Where the motion is not known, after a cut or in a flash, a painting is shown as
it is and under its own stamp, once, and never after a picture of a later moment: time does not run backwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from perception.flow.dis import Dis
from perception.flow.value import Field
from perception.recall import Recall
from realtime.core.clock import NS_PER_MS, Clock
from realtime.core.frame import Frame, Stamp
from realtime.core.metrics import Histogram
from realtime.core.stage import Emitted, StageContext, StageSpec

from .config import FillConfig
from .warp import LEAST_LIKENESS, Pixels, centre, followed, likeness, relit, slope, small_grey

KEPT = 160
"""Camera pictures that are remembered, small and grey: five seconds, and a few megabytes."""
STAMPS_KEPT = 1000
APART_MS = 50.0
"""A painting whose own camera picture was missed is moved from the nearest one, no further away than that."""
LEAST_SIDE_PX = 16
"""Motion is not sought in a smaller picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Hold what is remembered of a camera picture."""

    stamp: Stamp
    grey_HW: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Paint:
    """Hold a painting and what the camera showed when it was begun; None where that is not remembered."""

    stamp: Stamp
    pixels: Pixels
    grey_HW: Pixels | None
    slope: float


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """Hold the motion that was found last: the next one goes on from it, so that it may reach far."""

    back_HW2: Field
    gone_ms: float


class FillStage:
    """Show the newest painting of the watched node in motion."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="fill",
        takes=Frame,
        gives=Frame,
        config=FillConfig,
        lane="show",
        says="Shows as many pictures as the camera gives: the newest painting, moved to where things are.",
        watches=Frame,
    )

    def __init__(self) -> None:
        self._config = FillConfig()
        self._watched: Mapping[str, Callable[[], Any | None]] = {}
        self._dis: Dis | None = None
        self._paintings: Recall[Frame] = Recall(1)
        self._seen: deque[Seen] = deque(maxlen=KEPT)
        self._stamps: deque[Stamp] = deque(maxlen=STAMPS_KEPT)
        self._newest: Frame | None = None
        """What the painter gave last."""
        self._paint: Paint | None = None
        """What it painted last: an older picture where it repeats itself."""
        self._way: Way | None = None
        self._shown_ns = -1
        """When what was shown last was taken."""
        self._clock: Clock | None = None
        self._paint_age_ms = self._painted = Histogram("unopened")

    def open(self, ctx: StageContext) -> None:
        if self._dis is not None:
            return
        self._dis = Dis(self._config.method)
        self._watched, self._clock = ctx.watched, ctx.clock
        self._paint_age_ms = Histogram("paint_age_ms", clock=ctx.clock)
        self._painted = Histogram("painted", clock=ctx.clock)

    def configure(self, config: FillConfig) -> None:
        if config.shorter_px != self._config.shorter_px:
            self._seen.clear()  # of another size
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        if not self._watched:
            return (Emitted(item.stamp, item),)
        now = Seen(item.stamp, small_grey(item, self._config.shorter_px))
        self._seen.append(now)
        self._stamps.append(item.stamp)
        for _, painting in self._paintings.look(self._watched):
            self._take(painting)
        if self._config.between and (moved := self._moved(now)) is not None:
            return self._show(item.stamp, moved)
        return self._as_it_is()

    def reset(self) -> None:
        """Forget the stream."""
        self._paintings.reset()
        self._seen.clear()
        self._stamps.clear()
        self._newest = self._paint = self._way = None
        self._shown_ns = -1

    def close(self) -> None:
        self.reset()
        self._watched = {}
        self._dis = None

    def figures(self) -> dict[str, float]:
        """Return how old the paint in what is shown is, and how many paintings a second it is made of."""
        return {
            "paint_age_p50_ms": round(self._paint_age_ms.quantile(0.5), 1),
            "paint_age_p95_ms": round(self._paint_age_ms.quantile(0.95), 1),
            "painted_fps": round(self._painted.rate_hz(), 1),
        }

    def _take(self, painting: Frame) -> None:
        """Take what came from the painter; a picture that it only repeats is not newer paint."""
        self._newest = painting
        if self._paint is not None and painting.pixels is self._paint.pixels:
            return
        self._painted.observe(1)
        grey_HW, rendered = self._source(painting.stamp), 0.0
        if grey_HW is not None:
            grey_HW = centre(grey_HW, (painting.width_px, painting.height_px))
            rendered = slope(painting.pixels, grey_HW)
        self._paint = Paint(painting.stamp, painting.pixels, grey_HW, rendered)

    def _source(self, stamp: Stamp) -> Pixels | None:
        """Return the camera picture that a painting was made of, or one next to it."""
        near = [one for one in self._seen if one.stamp.source == stamp.source]
        if not near:
            return None
        best = min(near, key=lambda one: abs(one.stamp.captured_ns - stamp.captured_ns))
        apart_ms = abs(best.stamp.captured_ns - stamp.captured_ns) / NS_PER_MS
        return best.grey_HW if apart_ms <= APART_MS else None

    def _moved(self, now: Seen) -> Pixels | None:
        """Return the newest paint as it would be now; None where that is not known."""
        paint, dis = self._paint, self._dis
        way, self._way = self._way, None
        if paint is None or paint.grey_HW is None or dis is None:
            return None
        gone_ms = (now.stamp.captured_ns - paint.stamp.captured_ns) / NS_PER_MS
        height, width = paint.pixels.shape[:2]
        grey_HW = centre(now.grey_HW, (width, height))
        if grey_HW.shape != paint.grey_HW.shape or min(grey_HW.shape) < LEAST_SIDE_PX:
            return None
        if now.stamp.source != paint.stamp.source or not 0 <= gone_ms <= self._config.stale_ms:
            return None
        guess = None
        if way is not None and way.gone_ms > 0 and way.back_HW2.shape[:2] == grey_HW.shape:
            guess = way.back_HW2 * np.float32(gone_ms / way.gone_ms)
        back_HW2 = dis.flow(grey_HW, paint.grey_HW, guess)
        expected_HW = followed(paint.grey_HW, back_HW2)
        if likeness(grey_HW, expected_HW) < LEAST_LIKENESS:
            return None
        self._way = Way(back_HW2, gone_ms)
        moved = followed(paint.pixels, back_HW2)
        gain = self._config.relight * paint.slope
        return relit(moved, grey_HW, expected_HW, gain) if gain else moved

    def _as_it_is(self) -> Sequence[Emitted]:
        """Show what the painter gave last unless that, or something later, was shown already."""
        if self._newest is None:
            return ()
        own = self._newest.stamp
        known = own if own in self._stamps else self._before(own)
        if known is None or known.captured_ns <= self._shown_ns:
            return ()
        return self._show(known, self._newest.pixels)

    def _before(self, stamp: Stamp) -> Stamp | None:
        """Return the newest stamp seen here that is older than one that was missed."""
        older = (one for one in reversed(self._stamps) if one.captured_ns < stamp.captured_ns)
        return next(older, None)

    def _show(self, stamp: Stamp, pixels: Pixels) -> Sequence[Emitted]:
        if stamp.captured_ns <= self._shown_ns:
            return ()
        self._shown_ns = stamp.captured_ns
        if self._paint is not None and self._clock is not None:
            self._paint_age_ms.observe(self._paint.stamp.age_ms(self._clock.now_ns()))
        return (Emitted(stamp, Frame(stamp, pixels)),)
