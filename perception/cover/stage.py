"""The stage that hides faces and people, or tells the painter where they are.

It errs on the side of covering: what was found a moment ago stays covered, what moves has a larger cover, and
with `strict` the whole picture is covered while nothing is known of it. A face that comes into view is
covered from the moment it is first found; until then it is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from perception.recall import Recall
from perception.scene import Scene
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import Emitted, StageContext, StageSpec

from .config import CoverConfig
from .hold import Hold
from .shapes import Shape, cover, mask_of, whole


class CoverStage:
    """Cover things in each picture, or put the map "mask" beside it."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="cover",
        takes=Frame,
        gives=Frame,
        config=CoverConfig,
        lane="paint",
        says="Hides faces or people in the picture, or has the painter spare them or paint only them.",
        passes_when_off=False,
        watches=Scene,
    )

    def __init__(self) -> None:
        self._config = CoverConfig()
        self._watched: Mapping[str, Callable[[], Any | None]] = {}
        self._report: Callable[[str], None] = lambda sentence: None
        self._recall: Recall[Scene] = Recall()
        self._hold = Hold()
        self._has_seen = False
        self._is_blind = False

    def open(self, ctx: StageContext) -> None:
        self._watched, self._report = ctx.watched, ctx.report

    def configure(self, config: CoverConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        config = self._config
        for node, scene in self._recall.look(self._watched):
            self._has_seen = True
            self._hold.note(node, scene, config)
        if config.mode == "off":
            return (Emitted(item.stamp, item),)
        shapes = self._shapes(item.stamp, (item.width_px, item.height_px))
        if config.mode == "blur":
            return (Emitted(item.stamp, self._blurred(item, shapes) if shapes else item),)
        mask = mask_of(shapes, item.width_px, item.height_px, config.feather_px)
        return (Emitted(item.stamp, item.with_maps(mask=255 - mask if config.mode == "keep" else mask)),)

    def reset(self) -> None:
        """Forget what was seen; with `strict` all is covered until something is seen anew."""
        self._recall.reset()
        self._hold.reset()
        self._has_seen = self._is_blind = False

    def close(self) -> None:
        self.reset()
        self._watched = {}

    def _shapes(self, stamp: Stamp, shown: tuple[int, int]) -> list[Shape]:
        config = self._config
        scenes = self._recall.nearest(stamp, config.stale_ms)
        is_blind = len(scenes) < max(len(self._watched), 1)
        if is_blind and not self._is_blind and (self._has_seen or not self._watched):
            self._tell()
        self._is_blind = is_blind
        if is_blind and config.strict:
            return [whole(config.cells)]
        return self._hold.shapes(stamp, shown, scenes, config)

    def _tell(self) -> None:
        config = self._config
        why = "Nothing was seen lately" if self._watched else "The cover watches no detector"
        what = (
            "the whole picture is covered"
            if config.strict
            else f"last places stay covered for {config.hold_ms:.0f} ms, then nothing is"
        )
        self._report(f"{why}: {what}.")

    def _blurred(self, frame: Frame, shapes: Sequence[Shape]) -> Frame:
        """Return a frame whose picture, and maps that show it, are covered."""
        config = self._config
        pixels = frame.pixels.copy()
        cover(pixels, shapes, config.look, config.feather_px)
        maps = dict(frame.maps)
        for name in maps.keys() - {"mask"}:
            maps[name] = maps[name].copy()
            cover(maps[name], shapes, config.look, config.feather_px)
        return Frame(frame.stamp, pixels, maps, frame.moved_from)
