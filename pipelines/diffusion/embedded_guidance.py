"""Guidance for models that take it as an input, live: SANA-Sprint, and LCMs such as LCM-Dreamshaper.

It costs no further row, unlike the kinds in `guidance`. Other models do not read it.
"""

from __future__ import annotations

from collections.abc import Hashable

from .config import PaintConfig
from .families.base import GUIDANCE
from .features import Draft, Nothing


class EmbeddedGuidance(Nothing):
    """Tell the network how hard to push towards the prompt; without a wish it is the model's usual."""

    def key(self, config: PaintConfig) -> Hashable | None:
        return () if config.embedded_guidance > 0 else None

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        if config.embedded_guidance > 0:
            draft.extras[GUIDANCE] = config.embedded_guidance
