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
from .motion import Map, followed
from .pictures import Pixels, square
from .stillness import is_cut, share_alike
from .trajectory import Trajectory
from .ways import Ways

NAME = "steady"
MOST = 0.85
"""Share of the picture before at full coherence, where nothing speaks against it."""
SAME_LEVELS, OTHER_LEVELS = 14.0, 40.0
"""Grey levels up to which the camera shows what was expected, and from which it shows something else."""
BESIDE_PX, BESIDE_LEVELS = 5, 8.0
"""What is carried stays within so many levels of what is painted now, so many pixels around."""
RESTS_PX = 0.1
"""Less is no motion but the flow's own noise: to move a picture by it would only blur it."""
MOVES_PX = 0.7
"""What moves so much tells whether the look moves along."""
GOES_ALONG, STAYS = 0.8, 1.0
"""Change of a painting against the one before moved along, over its change in place: up to the one it goes
with things, from the other on it belongs to the screen."""
SMOOTHING = 0.3
LEAST_MOVING = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Hold what the camera showed at a frame, and what the frame was asked to be."""

    seq: int
    camera_SS3: Map
    """At half the side that is painted."""
    asked: Hashable


class Along:
    """Learn from fresh paintings whether the look moves with things or stands on the screen."""

    def __init__(self) -> None:
        self._moved = self._stayed = 0.0
        self._fresh: Pixels | None = None

    def share(self, fresh: Pixels, flow_SS2: Map, sure_SS: Map) -> float:
        """Take the newest painting as the model made it; return how far the look goes along, 0 to 1."""
        before, self._fresh = self._fresh, fresh
        moves = ((flow_SS2**2).sum(-1) > MOVES_PX**2) & (sure_SS > 0.5)
        if before is not None and moves.mean() > LEAST_MOVING:
            moved = _moved(before, flow_SS2, cv2.INTER_LINEAR)
            self._moved += SMOOTHING * (float(cv2.absdiff(fresh, moved)[moves].mean()) - self._moved)
            self._stayed += SMOOTHING * (float(cv2.absdiff(fresh, before)[moves].mean()) - self._stayed)
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
        camera_SS3 = square(draft.frame.pixels, draft.size_px // 2).astype(np.float32)
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
        if before is not None and before[0].asked == now.asked:
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
            way = way.to(side)
            expected = followed(then.camera_SS3, way.flow_SS2)
            share_SS = way.visible_SS * share_alike(now.camera_SS3, expected, SAME_LEVELS, OTHER_LEVELS)
            flow_PP2 = way.to(len(pixels)).flow_SS2
            length_PP = np.sqrt((flow_PP2**2).sum(-1))
            sure_PP = _larger(way.visible_SS, len(pixels))
            along = self._along.share(pixels, flow_PP2, sure_PP)
            if along < 1.0:
                rests_SS = (way.flow_SS2**2).sum(-1) < RESTS_PX**2
                share_SS = share_SS * np.where(rests_SS, np.float32(1.0), np.float32(along))
            if float(length_PP.max()) > RESTS_PX:
                damped = np.clip(length_PP / RESTS_PX - 1.0, 0.0, 1.0).astype(np.float32)
                carried = _moved(carried, flow_PP2 * damped[..., None], cv2.INTER_CUBIC)
        kernel = np.ones((BESIDE_PX, BESIDE_PX), np.uint8)
        low = cv2.erode(pixels, kernel).astype(np.float32) - BESIDE_LEVELS
        high = cv2.dilate(pixels, kernel).astype(np.float32) + BESIDE_LEVELS
        carried = np.clip(carried, np.maximum(low, 0.0), np.minimum(high, 255.0))
        share_PP1 = _larger(np.asarray(share_SS, np.float32), len(pixels))[..., None] * np.float32(most)
        return np.asarray(fresh + share_PP1 * (carried - fresh), np.float32)


def _larger(map_SS: Map, side: int) -> Map:
    return np.asarray(cv2.resize(map_SS, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _moved(picture: Any, flow_PP2: Map, how: int) -> Any:
    """Return a picture as it is after the motion; beyond the edge, the edge."""
    side = len(flow_PP2)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    at_x, at_y = x + flow_PP2[..., 0], y + flow_PP2[..., 1]
    return cv2.remap(picture, at_x, at_y, how, borderMode=cv2.BORDER_REPLICATE)
