"""The stage that draws what is seen on the pictures that are shown, where it is in each of them.

Detectors are late. A picture is not held for them: what is known is carried to the moment at which the
picture was taken, so that boxes lie on what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from perception.kinds import are_of, kinds_of, picked
from perception.recall import Recall
from perception.scene import Scene, Things, in_view, points_in_view
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import Emitted, StageContext, StageSpec

from .config import OverlayConfig
from .drawing import Drawing
from .trails import Trails

Size = tuple[int, int]


class OverlayStage:
    """Draw the newest scenes of the watched nodes on each picture."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="overlay",
        takes=Frame,
        gives=Frame,
        config=OverlayConfig,
        lane="show",
        says="Draws what is seen on the picture: boxes, labels, trails and zones.",
        watches=Scene,
        writes=True,
    )

    def __init__(self) -> None:
        self._config = OverlayConfig()
        self._watched: Mapping[str, Callable[[], Any | None]] = {}
        self._recall: Recall[Scene] = Recall()
        self._trails = Trails()

    def open(self, ctx: StageContext) -> None:
        self._watched = ctx.watched

    def configure(self, config: OverlayConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        config = self._config
        for node, scene in self._recall.look(self._watched):
            if config.trails:
                self._trails.note(node, scene, config.trail_s)
        scenes = self._recall.nearest(item.stamp, config.stale_ms)
        return (Emitted(item.stamp, self._drawn(item, scenes) if scenes else item),)

    def reset(self) -> None:
        """Forget what was seen."""
        self._recall.reset()
        self._trails.reset()

    def close(self) -> None:
        self.reset()
        self._watched = {}

    def _drawn(self, frame: Frame, scenes: Sequence[tuple[str, Scene]]) -> Frame:
        """Return a frame with what is in the scenes; the same frame where that is nothing."""
        config, shown = self._config, (frame.width_px, frame.height_px)
        seen = [(node, scene, self._seen(scene, frame.stamp, shown)) for node, scene in scenes]
        if not any(len(things) or (config.zones and scene.places) for _, scene, things in seen):
            return frame
        picture = frame.pixels.copy()
        drawing = Drawing(picture, config)
        if config.zones:
            for _, scene, _ in seen:
                places = scene.places
                drawing.places(
                    places, [points_in_view(one.points_K2, scene.size_px, shown) for one in places]
                )
        if config.trails:
            for node, scene, things in seen:
                drawing.trails(self._trails_of(node, scene, things, shown), things)
        if config.boxes:
            for _, _, things in seen:
                drawing.boxes(things)
        if config.labels:
            for _, _, things in seen:
                drawing.labels(things)
        return Frame(frame.stamp, picture, frame.maps, frame.moved_from)

    def _seen(self, scene: Scene, stamp: Stamp, shown: Size) -> Things:
        """Return what of a scene is drawn on a picture, as shares of it."""
        things = in_view(scene.at(stamp.captured_ns), scene.size_px, shown)
        boxes = things.xyxy_N4
        is_there = np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1) & (boxes[:, :2] < 1).all(1)
        is_wanted = are_of(things, kinds_of(self._config.names))
        return picked(things, is_there & is_wanted & (things.scores_N >= self._config.least_score))

    def _trails_of(self, node: str, scene: Scene, things: Things, shown: Size) -> dict[int, Any]:
        """Return the way of each thing up to where it is now, as shares of the picture."""
        until_ns, found = things.at_ns, {}
        since_ns = until_ns - round(self._config.trail_s * NS_PER_S)
        for k, which in enumerate(things.ids_N.tolist()):
            been = points_in_view(self._trails.of((node, which), since_ns, until_ns), scene.size_px, shown)
            here = things.xyxy_N4[k].reshape(2, 2).mean(0, keepdims=True)
            found[k] = np.concatenate([been, here])
        return found
