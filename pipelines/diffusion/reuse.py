"""Whole and partial runs of the network: the deep feature of a whole run serves steps that come after it.

"frames": a picture in so many is painted whole; those between take, at each step, the deep feature that it
had at the same step. "steps": of each picture's steps every so many is whole, and those between take that of
the step before. A picture is whole in any case when something was changed that the deep feature depends on,
or when too little of it is as it was in the last whole one.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .config import PaintConfig
from .features import Additions, Detour, Draft, Nothing, Report
from .kits import Row
from .stillness import Map, stillness, thumbnail
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter

NAME = "reuse"


@dataclass(slots=True)
class Store:
    """Hold deep features by step and side of guidance, at most one each."""

    deep: dict[tuple[int, bool], tuple[float, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visit:
    """Say where a frame's deep features are, and which of its steps may do with them."""

    store: Store
    across: str
    """"frames" or "steps"."""
    interval: int
    """Between steps: each so many is whole."""
    is_whole: bool
    """Between frames: whether all steps of this one are whole."""

    def keep(self, row: Row, deep_1CHW: Tensor) -> None:
        """Keep a copy of the deep feature of a row's due step."""
        self.store.deep[self._place(row.trajectory, row.is_negative)] = (
            row.trajectory.step.t,
            deep_1CHW.half(),
        )

    def kept(self, row: Row) -> Tensor:
        """Return what `keep` was given, in half precision."""
        return self.store.deep[self._place(row.trajectory, row.is_negative)][1]

    def serves(self, one: Trajectory) -> bool:
        """Tell whether the due step can do with what is kept."""
        if self.is_whole if self.across == "frames" else one.index % self.interval == 0:
            return False
        found = [self.store.deep.get(self._place(one, bool(k))) for k, _ in enumerate(one.embeddings())]
        return all(kept is not None and (self.across == "steps" or kept[0] == one.step.t) for kept in found)

    def _place(self, one: Trajectory, is_negative: bool) -> tuple[int, bool]:
        return (one.index if self.across == "frames" else 0, is_negative)


def serves(one: Trajectory) -> bool:
    """Tell whether the due step of a frame may take the outer network."""
    visit = one.extras.get(NAME)
    return isinstance(visit, Visit) and visit.serves(one)


class Reuse(Nothing):
    """Decide for one session which frames are painted whole."""

    def __init__(self) -> None:
        self._store = Store()
        self._whole: tuple[Hashable, Map] | None = None
        """What the last whole picture was asked to be, and what the camera showed."""
        self._since = 0

    def key(self, config: PaintConfig) -> Hashable | None:
        return (NAME, config.reuse_depth) if config.reuse_interval > 1 else None

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        from .nets.reuse import Given, Kept, Outer, Whole, deepest, width

        most = deepest(painter.unet) if painter.unet is not None else 0
        if most == 0:
            return Additions(
                notes=("This model's network has no outer part: each picture is painted whole.",)
            )
        depth = min(config.reuse_depth, most)
        unet = painter.unet
        outer = Detour(Outer(unet, depth), (Given(width(unet, depth), depth),), serves)
        return Additions((Whole(unet, depth),), (Kept(),), outer)

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        if config.reuse_across == "steps":
            draft.extras[NAME] = Visit(Store(), "steps", config.reuse_interval, False)
            return
        side = int(draft.reference_1CHW.shape[-1])
        asked = (draft.words.prompt, draft.words.negative, draft.wish, side)
        now = thumbnail(draft.frame.pixels, side)
        is_whole = not self._may_reuse(asked, now, config)
        if is_whole:
            self._whole, self._since = (asked, now), 0
        self._since += 1
        draft.extras[NAME] = Visit(self._store, "frames", config.reuse_interval, is_whole)

    def reset(self) -> None:
        self._store = Store()
        self._whole, self._since = None, 0

    def _may_reuse(self, asked: Hashable, now: Map, config: PaintConfig) -> bool:
        if self._whole is None or self._since >= config.reuse_interval or self._whole[0] != asked:
            return False
        return float(stillness(now, self._whole[1]).mean()) >= config.reuse_alike
