"""Strategies that let the model's own queries and keys judge (ReKV, Di et al. 2025, arXiv:2503.00540).

The bare question runs through the model. At each layer the mean of its un-rotated queries is multiplied with
each block's mean un-rotated key, nothing normalised; the layer attends to the best blocks and goes on. As
published each layer keeps its own blocks for the answer. Layers differ much in how well they find things, so
`Voted` takes the mean of their standardised scores instead: one set of frames for all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .base import Asked, Choice, apart, best, standardised

if TYPE_CHECKING:
    from perception.qa.kv.memory import Query
    from perception.qa.kv.table import Rows


def layer_scores(
    query: Query, rows: Rows, memory: Asked, frames: int, recent: int
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Run the question as published; return each layer's scores (N,) and the rows that it chose."""
    scores: list[torch.Tensor] = []
    chosen: list[torch.Tensor] = []

    def choose(layer: int, query_V: torch.Tensor) -> list[int]:
        scores.append(rows.products(layer, query_V))
        chosen.append(best(scores[-1], frames, recent))
        return [int(number) for number in rows.numbers_N[chosen[-1]]]

    memory.ask_pass(query, choose)
    return scores, chosen


@dataclass(frozen=True, slots=True)
class Rekv:
    """Let each layer choose for itself; with `recent` = 0 exactly as published."""

    frames: int = 8
    recent: int = 0
    name: str = "rekv"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        _, chosen = layer_scores(query, rows, memory, self.frames, self.recent)
        votes_N = torch.zeros(len(rows))
        for indices in chosen:
            votes_N[indices] += 1.0
        return Choice(tuple(chosen), votes_N)


@dataclass(frozen=True, slots=True)
class Voted:
    """Let the layers vote for one set of frames."""

    frames: int = 8
    recent: int = 2
    name: str = "voted"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        scores_N = voted(layer_scores(query, rows, memory, self.frames, self.recent)[0])
        return Choice((best(scores_N, self.frames, self.recent),), scores_N)


def voted(scores: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean over layers of standardised scores, (N,)."""
    return torch.stack([standardised(one) for one in scores]).mean(dim=0)


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Take the layers' vote, a little of how new a frame was, keep frames apart, and the newest: the default.

    What matters is mostly in view for a while: without `apart` the best frames are many of one moment, and
    questions about two moments find one of them only.
    """

    frames: int = 8
    recent: int = 2
    novelty: float = 0.1
    """Weight of novelty beside the vote, both standardised."""
    apart: float = 2.0
    """By how much a frame's neighbours are worth less once it is taken, in deviations of the score."""
    reach: float = 4.0
    """How many frames away they are."""
    name: str = "hybrid"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        votes_N = voted(layer_scores(query, rows, memory, self.frames, self.recent)[0])
        scores_N = standardised(votes_N) + self.novelty * standardised(rows.novelty())
        return Choice((apart(scores_N, self.frames, self.recent, self.apart, self.reach),), scores_N)
