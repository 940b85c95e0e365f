"""How many rows of the UNet a frame costs, and what is made of them: guidance `none` and `full`.

Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598) is linear in the network's output, so the
same line serves models that predict noise, the clean sample or the velocity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .prompts import Embedding, Words


@dataclass(frozen=True, slots=True)
class Guidance:
    """Say whether and how strongly the negative prompt pushes the picture away."""

    scale: float | None = None
    """None: the prompt alone, one row a step. A number: two rows; 1.0 gives the same picture."""

    def rows(self, words: Words) -> tuple[Embedding, ...]:
        """Return the embeddings that a step is run with, one a row."""
        return (words.prompt,) if self.scale is None else (words.prompt, words.negative)

    def merge(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return the guided output of the outputs of `rows`, each (1, C, h, w)."""
        if self.scale is None:
            return outputs[0]
        wanted, unwanted = outputs
        return unwanted + self.scale * (wanted - unwanted)
