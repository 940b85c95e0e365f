"""The picture before as a part of the next: kappa of it where the camera shows the same, none where not.

Two networks, two places. One that takes noise away goes on from what it is given, so the painted latent of
the picture before is mixed into the start. One that translates the camera's picture would paint over its own
work again and again, so the finished latents are mixed. Both leave a cell alone, exactly, where nothing is
trusted: at a cut, after a change of the words, in the first picture.

Where frames carry a map "flow", the picture before is moved along, and where the moved camera picture then
agrees with this one it is trusted as well; a map "flow_back" or "occlusion" says what came into view.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .config import PaintConfig
from .features import Draft, Nothing
from .motion import Map, followed, warped
from .noise import Seeds
from .stillness import is_cut, stillness, thumbnail
from .trajectory import Trajectory
from .ways import Way

if TYPE_CHECKING:
    from torch import Tensor

NAME = "feedback"


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Hold what the camera showed at a frame, and what the frame was asked to be."""

    seq: int
    thumbnail: Map
    asked: Hashable


def asked_of(draft: Draft, config: PaintConfig, side: int) -> Hashable:
    """Return what a frame is asked to be: the picture before is a part of it only while this is equal."""
    wish = replace(draft.wish, seeds=Seeds()) if config.vary else draft.wish
    return (draft.words.prompt, draft.words.negative, wish, side)


class Feedback(Nothing):
    """Own one session's last painted latent, and mix it into what comes."""

    def __init__(self) -> None:
        self._last: tuple[Seen, Tensor] | None = None

    def key(self, config: PaintConfig) -> Hashable | None:
        return NAME if config.feedback > 0 else None

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        if draft.start_1CHW is not None:
            return  # painted from noise: no camera picture to compare
        frame, reference = draft.frame, draft.reference_1CHW
        side = int(reference.shape[-1])
        asked = asked_of(draft, config, side)
        seen = Seen(frame.stamp.seq, thumbnail(frame.pixels, side), asked)
        draft.extras[NAME] = seen
        if self._last is None or self._last[0].asked != asked:
            return
        then, latent_1CHW = self._last
        share_SS = stillness(seen.thumbnail, then.thumbnail)
        if is_cut(share_SS):
            share_SS = np.zeros_like(share_SS)
        before_1CHW = latent_1CHW
        way = draft.ways.between(then.seq, seen.seq)
        if way is not None and config.flow_strength > 0:
            way = way.to(side)
            moved_SS = _agreement(seen, then, way) * np.float32(config.flow_strength)
            before_1CHW = _chosen(moved_SS > share_SS, warped(latent_1CHW, way.flow_SS2), latent_1CHW)
            share_SS = np.maximum(share_SS, moved_SS)
        if share_SS.any():
            _mix(draft, before_1CHW, _cells(share_SS * np.float32(config.feedback), reference))

    def finished(self, one: Trajectory, config: PaintConfig) -> None:
        seen = one.extras.get(NAME)
        if seen is not None:
            self._last = (seen, one.latent_1CHW)

    def reset(self) -> None:
        self._last = None


def _agreement(now: Seen, then: Seen, motion: Way) -> Map:
    """Return where the moved camera picture of `then` shows what this one does, 0 to 1."""
    side = len(motion.flow_SS2)
    twice = np.repeat(np.repeat(2.0 * motion.flow_SS2, 2, axis=0), 2, axis=1).astype(np.float32)
    agrees = stillness(now.thumbnail, followed(then.thumbnail, twice))
    return np.zeros((side, side), np.float32) if is_cut(agrees) else agrees * motion.visible_SS


def _cells(share_SS: Map, like: Tensor) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(share_SS, np.float32))[None, None].to(like.device)


def _chosen(where_SS: np.ndarray, one: Tensor, other: Tensor) -> Tensor:
    import torch

    return torch.where(torch.from_numpy(where_SS).to(one.device), one, other)


def _mix(draft: Draft, before_1CHW: Tensor, share_11SS: Tensor) -> None:
    """Mix the picture before into the start, or into the finished latent of a network that translates.

    There the result is (1 - w) * (what the draft gives) + w * before, with w = share * painted so that what
    is not painted at all stays as it is.
    """
    import torch

    reference = draft.reference_1CHW
    if draft.levels is None or not draft.levels.translates:
        draft.start_1CHW = reference + share_11SS * (before_1CHW - reference)
        return
    painted = draft.levels.painted(draft.wish.strength) if draft.painted is None else draft.painted
    kept_1CHW = reference if draft.kept_1CHW is None else draft.kept_1CHW
    w = share_11SS * painted
    share = (1.0 - w) * painted
    left = 1.0 - share
    rest = (1.0 - w) * (1.0 - painted) * kept_1CHW + w * before_1CHW
    draft.painted = share
    draft.kept_1CHW = torch.where(left > 0, rest / left.clamp_min(1e-6), kept_1CHW)
