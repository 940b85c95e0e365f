"""Frames in flight that see each other, so that neighbours come to look alike.

It acts with two or more steps, since only then several pictures of a session are in one call. What a picture
becomes then depends on which neighbours it meets.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import PaintConfig
from .features import Additions, Draft, Nothing, Report

if TYPE_CHECKING:
    from .painter import Painter

NAME = "cross_frame"


@dataclass(frozen=True, slots=True)
class Circle:
    """Say whose frames a frame sees, and how strongly."""

    owner: object
    log_weight: float


class CrossFrame(Nothing):
    """Put the frames of one session into one circle."""

    def key(self, config: PaintConfig) -> Hashable | None:
        return NAME if config.cross_frame > 0 else None

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        from .nets.cross_frame import Across, Allowed
        from .nets.self_attention import layers

        found = layers(painter.unet) if painter.unet is not None else ()
        if not found:
            return Additions(
                notes=(
                    "This model has no self-attention: its pictures are painted without seeing each other.",
                )
            )
        return Additions((Across(found),), (Allowed(),))

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        from .nets.self_attention import log_weight

        draft.extras[NAME] = Circle(self, log_weight(config.cross_frame))
