"""What an overlay looks like: things, trails and watched places on one picture, in sizes that fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception.scene import Place, Things

from .colours import PAPER, SOFT, colour_of
from .config import OverlayConfig
from .corners import draw_boxes
from .labels import Label, label
from .strokes import Floats, draw_area, draw_line, draw_trail, overlaps

Pixels = npt.NDArray[np.uint8]
SMALLEST_WITH_WORDS_PX = 64
"""A picture with a shorter side bears no words."""
TRAIL_POINTS = 32


@dataclass(frozen=True, slots=True)
class Sizes:
    """Hold the sizes of what is drawn, in pixels."""

    line: float
    text: int
    radius: float
    arm: float

    @classmethod
    def of(cls, width_px: int, height_px: int, config: OverlayConfig) -> Sizes:
        """Choose what suits a picture, where the settings do not say."""
        side = min(width_px, height_px)
        line = config.line_px or float(np.clip(np.ceil(side / 240), 1, 4))
        text = config.text_px or int(np.clip(round(side / 38), 10, 32))
        return cls(line, text, radius=max(side / 90, 3.0), arm=max(side / 36, 6.0))


class Drawing:
    """Draw on one picture, in place."""

    def __init__(self, picture_HW3: Pixels, config: OverlayConfig) -> None:
        self._picture = picture_HW3
        self._config = config
        self._height, self._width = picture_HW3.shape[:2]
        self._whole = np.array([self._width, self._height], np.float32)
        self._sizes = Sizes.of(self._width, self._height, config)
        self._has_words = min(self._width, self._height) >= SMALLEST_WITH_WORDS_PX
        self._taken: list[tuple[int, int, int, int]] = []
        """Where labels are already."""

    def places(self, places: Sequence[Place], points: Sequence[Floats]) -> None:
        """Draw zones and lines; `points` are their corners in this picture, as shares."""
        for place, shares in zip(places, points, strict=True):
            at = shares * self._whole
            colour = PAPER if place.inside or place.is_line else SOFT
            if not place.is_line:
                draw_area(self._picture, at, PAPER, 0.16 if place.inside else 0.07)
            draw_line(self._picture, at, colour, self._sizes.line, closed=not place.is_line)
            if place.is_line:
                self._way_in(at)
            if self._has_words:
                counts = tuple(f"{name} {count}" for name, count in place.counts.items())
                more = counts if place.is_line else (str(place.inside),)
                made = label(place.name, more, colour, self._sizes.text)
                spot = at[0] if place.is_line else at[at[:, 1].argmin()]
                self._lay(made, float(spot[0]) + 3, float(spot[1]) + 3)

    def _way_in(self, ends_22: Floats) -> None:
        """Draw an arrow from the middle of a line towards its right hand, which counts as in."""
        along = ends_22[1] - ends_22[0]
        onwards = along / max(float(np.hypot(*along)), 1e-6)
        right = np.array([-onwards[1], onwards[0]], np.float32)
        size, middle = 1.6 * self._sizes.arm, ends_22.mean(0)
        tip = middle + size * right
        barbs = [tip - size / 3 * (right + onwards), tip, tip - size / 3 * (right - onwards)]
        for points in ([middle, tip], barbs):
            draw_line(self._picture, np.array(points, np.float32), PAPER, self._sizes.line)

    def trails(self, trails: Mapping[int, Floats], things: Things) -> None:
        """Draw where things have been: shares of this picture by place in `things`, the oldest first."""
        for k, points in trails.items():
            step = -(-len(points) // TRAIL_POINTS)
            colour = colour_of(things.names[things.kinds_N[k]])
            draw_trail(self._picture, points[::-1][::step][::-1] * self._whole, colour, self._sizes.line + 1)

    def boxes(self, things: Things) -> None:
        """Draw a box around each thing."""
        if not len(things):
            return
        sizes, boxes = self._sizes, things.xyxy_N4 * np.tile(self._whole, 2)
        colours = [colour_of(things.names[kind]) for kind in things.kinds_N]
        draw_boxes(
            self._picture,
            boxes,
            colours,
            line_px=sizes.line,
            radius_px=sizes.radius,
            arm_px=sizes.arm,
        )

    def labels(self, things: Things) -> None:
        """Write what each thing is, above its box. Those followed longest come first; none covers another."""
        if not self._has_words:
            return
        boxes = things.xyxy_N4 * np.tile(self._whole, 2)
        for k in np.argsort(things.ids_N, kind="stable"):
            left, top = float(boxes[k, 0]), float(boxes[k, 1])
            name = things.names[things.kinds_N[k]]
            made = label(name, self._more(things, int(k)), colour_of(name), self._sizes.text)
            rim = self._sizes.line / 2 + 1
            above, inside, below = top - made.size_px[1] - rim, top + rim + 1, float(boxes[k, 3]) + rim
            for y in (above if above >= 0 else inside, below):
                if self._lay(made, left - rim + 1, y):
                    break

    def _more(self, things: Things, k: int) -> tuple[str, ...]:
        """Return the words after a thing's name."""
        config, more = self._config, []
        if config.ids:
            more.append(str(things.ids_N[k]))
        if config.scores:
            more.append(f"{100 * things.scores_N[k]:.0f}%")
        if config.speed:
            across, down = things.velocity_N2[k].tolist()
            more.append(f"{100 * float(np.hypot(across, down * self._height / self._width)):.0f} %/s")
        return tuple(more)

    def _lay(self, made: Label, left: float, top: float) -> bool:
        """Lay a label there, or as near as it fits into the picture; False if another one is there."""
        width, height = made.size_px
        x = round(min(max(left, 0.0), max(self._width - width, 0)))
        y = round(min(max(top, 0.0), max(self._height - height, 0)))
        box = (x, y, x + width, y + height)
        if overlaps(box, self._taken):
            return False
        self._taken.append(box)
        made.lay(self._picture, x, y)
        return True
