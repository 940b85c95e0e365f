"""Coherence: the picture shown before, carried along by the motion, as a part of the next one.

A painter paints each picture by itself, so brush strokes are drawn anew each time. Here the finished picture
is mixed with the one shown before, moved to where its things are now: in pixels rather than in latents, since
a latent that is moved by a part of a cell is another painting. Four guards keep it from trailing: what the
motion says was hidden is new; what the camera shows otherwise than expected is new; nothing may be brighter
or darker than what is painted near it now; and a look that is drawn on the screen rather than on things (a
mosaic) is not carried where things move. Other words, another size, a cut and a gap in the motion begin anew.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .config import PaintConfig
from .features import Draft, Nothing
from .feedback import asked_of
from .motion import Map, cells, followed
from .pictures import Pixels, shrunk_square
from .stillness import is_cut, share_alike
from .trajectory import Trajectory
from .ways import Way, Ways

NAME = "steady"
MOST = 0.92
"""Share of the picture before at full coherence, where nothing speaks against it."""
SAME_LEVELS, OTHER_LEVELS = 14.0, 40.0
"""Grey levels up to which the camera shows what was expected, and from which it shows something else."""
BESIDE_PX, BESIDE_LEVELS = 5, 4
"""What is carried stays within so many levels of what is painted now in so many pixels around."""
BESIDE = (BESIDE_LEVELS,) * 3 + (0,)
FAR_LEVELS = 32.0
"""What would have been so much further off is something else, and not carried at all."""
RESTS_PX = 0.1
"""Less is no motion but the flow's own noise: to move a picture by it would only blur it."""
MOVES_PX = 0.7
"""What moves so much tells whether the look moves along."""
GOES_ALONG, STAYS = 0.8, 1.0
"""Change of a painting against the one before moved along, over its change in place: up to the one it goes
with things, from the other on it belongs to the screen."""
SMOOTHING = 0.3
LOOKS_EARLY, LOOKS_EVERY = 8, 4
"""It looks at each of so many pictures at first, then at one in so many."""
LEAST_MOVING = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Hold what the camera showed at a frame, and what the frame was asked to be."""

    seq: int
    camera_SS3: Map
    """The painted square, at about half the side that is painted."""
    asked: Hashable


class Along:
    """Learn from fresh paintings whether the look moves with things or stands on the screen."""

    def __init__(self) -> None:
        self._moved = self._stayed = 0.0
        self._count = 0
        self._fresh: Pixels | None = None

    def share(self, fresh: Pixels, at_PP2: Map, moves_PP: Pixels) -> float:
        """Take the newest painting as the model made it; return how far the look goes along, 0 to 1.

        `at_PP2` is where each point was in the one before, `moves_PP` is not 0 where that is elsewhere.
        """
        before, self._fresh = self._fresh, fresh
        self._count += 1
        is_due = self._count < LOOKS_EARLY or self._count % LOOKS_EVERY == 0
        if is_due and before is not None and cv2.countNonZero(moves_PP) > LEAST_MOVING * moves_PP.size:
            changed = [
                sum(cv2.mean(cv2.absdiff(fresh, one), moves_PP)[:3])
                for one in (moved(before, at_PP2, cv2.INTER_LINEAR), before)
            ]
            self._moved += SMOOTHING * (changed[0] - self._moved)
            self._stayed += SMOOTHING * (changed[1] - self._stayed)
        if not self._stayed:
            return 1.0
        ratio = self._moved / self._stayed
        return min(max((STAYS - ratio) / (STAYS - GOES_ALONG), 0.0), 1.0)

    def keep(self, fresh: Pixels) -> None:
        """Take a painting that there is nothing to compare with; what was learned stays."""
        self._fresh = fresh


class Steady(Nothing):
    """Own the picture that one session was shown last."""

    def __init__(self) -> None:
        self._before: tuple[Shown, Map] | None = None
        self._along = Along()
        self._ways = Ways()

    def key(self, config: PaintConfig) -> Hashable | None:
        return () if config.coherence > 0 else None

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        if draft.start_1CHW is not None:
            return  # painted from noise: there is no camera picture that it follows
        camera_SS3 = shrunk_square(draft.frame.pixels, draft.size_px // 2).astype(np.float32)
        asked = asked_of(draft, config, draft.size_px)
        draft.extras[NAME] = Shown(draft.frame.stamp.seq, camera_SS3, asked)
        self._ways = draft.ways

    def shown(self, one: Trajectory, pixels: Pixels, config: PaintConfig) -> Pixels:
        now = one.extras.get(NAME)
        before, self._before = self._before, None
        if now is None:
            return pixels
        fresh = pixels.astype(np.float32)
        picture = fresh
        if before is not None and _is_alike(before[0], now):
            picture = self._mixed(before, now, pixels, fresh, MOST * config.coherence)
        else:
            self._along = Along()
            self._along.keep(pixels)
        self._before = (now, picture)
        return pixels if picture is fresh else np.rint(picture).astype(np.uint8)

    def reset(self) -> None:
        self._before = None
        self._along = Along()

    def _mixed(self, before: tuple[Shown, Map], now: Shown, pixels: Pixels, fresh: Map, most: float) -> Map:
        """Return the fresh painting with what may be carried of the picture shown before."""
        then, carried = before
        side = len(now.camera_SS3)
        way = self._ways.between(then.seq, now.seq)
        if way is None:
            self._along.keep(pixels)
            alike_SS = share_alike(now.camera_SS3, then.camera_SS3, SAME_LEVELS, OTHER_LEVELS)
            if self._ways.is_told or is_cut(alike_SS):
                return fresh
            share_SS = alike_SS
        else:
            near = way.to(side)
            expected = followed(then.camera_SS3, near.flow_SS2)
            share_SS = near.visible_SS * share_alike(now.camera_SS3, expected, SAME_LEVELS, OTHER_LEVELS)
            carried, along = self._carried(carried, pixels, way)
            if along < 1.0:
                rests_SS = cv2.magnitude(*cv2.split(near.flow_SS2)) < RESTS_PX
                share_SS = share_SS * np.where(rests_SS, np.float32(1.0), np.float32(along))
        kernel = np.ones((BESIDE_PX, BESIDE_PX), np.uint8)
        low: Any = cv2.subtract(cv2.erode(pixels, kernel), BESIDE).astype(np.float32)  # type: ignore[call-overload]
        high: Any = cv2.add(cv2.dilate(pixels, kernel), BESIDE).astype(np.float32)  # type: ignore[call-overload]
        near_it = cv2.min(cv2.max(carried, low), high)
        share_PP = larger(np.asarray(share_SS, np.float32), len(pixels)) * np.float32(most)
        beyond_PP: Any = cv2.cvtColor(cv2.absdiff(carried, near_it), cv2.COLOR_RGB2GRAY)
        share_PP *= np.clip(1 - beyond_PP * np.float32(1 / FAR_LEVELS), 0, 1)
        mixed: Any = cv2.blendLinear(near_it, fresh, share_PP, 1 - share_PP)
        return np.asarray(mixed, np.float32)

    def _carried(self, shown: Map, pixels: Pixels, way: Way) -> tuple[Map, float]:
        """Return the picture shown before where its things are now, and how far its look goes along."""
        side = len(pixels)
        flow_PP2 = way.flow(side)
        length_PP: Any = cv2.magnitude(*cv2.split(flow_PP2))
        rests_PP: Any = cv2.compare(length_PP, RESTS_PX, cv2.CMP_LT)  # type: ignore[call-overload]
        moves_PP: Any = cv2.compare(length_PP, MOVES_PX, cv2.CMP_GT)  # type: ignore[call-overload]
        at_PP2 = cells(side) + flow_PP2
        cv2.copyTo(cells(side), rests_PP, at_PP2)
        along = self._along.share(pixels, at_PP2, moves_PP)
        if cv2.countNonZero(rests_PP) == rests_PP.size:
            return shown, along
        return moved(shown, at_PP2, cv2.INTER_CUBIC), along


def _is_alike(then: Shown, now: Shown) -> bool:
    """Tell whether two pictures were asked to be the same, and the camera's have one size."""
    return then.asked == now.asked and then.camera_SS3.shape == now.camera_SS3.shape


def larger(map_SS: Map, side: int) -> Map:
    """Return a map on a grid of a larger side."""
    return np.asarray(cv2.resize(map_SS, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def moved(picture: Any, at_PP2: Map, how: int) -> Any:
    """Return a picture as it is after a motion; beyond the edge, the edge."""
    return cv2.remap(picture, at_PP2, None, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
