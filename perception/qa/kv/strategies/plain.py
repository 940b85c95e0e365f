"""Strategies that do not look at the question: baselines, and what a hybrid builds on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .base import Asked, Choice, best, newest

if TYPE_CHECKING:
    from perception.qa.kv.memory import Query
    from perception.qa.kv.table import Rows


@dataclass(frozen=True, slots=True)
class LastK:
    """Bring back the newest frames only; a hard baseline to beat on questions about now."""

    frames: int = 8
    name: str = "last-k"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        return Choice((newest(rows, self.frames),))


@dataclass(frozen=True, slots=True)
class Uniform:
    """Bring back frames at equal distances, the first and the newest among them."""

    frames: int = 8
    name: str = "uniform"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        count = min(self.frames, len(rows))
        spaced = torch.linspace(0, len(rows) - 1, count) if count > 1 else torch.tensor([len(rows) - 1.0])
        return Choice((spaced.round().long().unique(),))


@dataclass(frozen=True, slots=True)
class Full:
    """Bring back everything: exact, and as slow as the stream is long."""

    name: str = "full"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        return Choice((torch.arange(len(rows)),))


@dataclass(frozen=True, slots=True)
class Novelty:
    """Bring back the frames that differ most from the median frame, and the newest."""

    frames: int = 8
    recent: int = 2
    name: str = "novelty"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        scores_N = rows.novelty()
        return Choice((best(scores_N, self.frames, self.recent),), scores_N)
