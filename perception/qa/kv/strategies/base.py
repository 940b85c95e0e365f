"""Which frames of the past a question brings back: one interface, many ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from perception.qa.kv.memory import Query

if TYPE_CHECKING:
    from perception.qa.kv.table import Rows


class Asked(Protocol):
    """What a strategy may use of the memory that it chooses for."""

    def ask_pass(self, query: Query, choose: Callable[[int, torch.Tensor], Sequence[int]]) -> None:
        """Run the bare question; see `perception/qa/kv/asking.py`."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Name rows, the same for all layers or for each its own. Each layer has equally many."""

    rows: tuple[torch.Tensor, ...]
    """Indices into the rows, rising; one tensor for all layers, or one for each."""
    scores_N: torch.Tensor | None = None
    """How much each row has to do with the question, the more the better; None: nobody asked."""

    def layers(self, count: int) -> Sequence[torch.Tensor]:
        """Return the indices for each of `count` layers."""
        return self.rows * count if len(self.rows) == 1 else self.rows

    def scored(self, count: int) -> Iterator[tuple[int, float]]:
        """Yield each row that any layer has, in the order of time, with a score of 0 to 1."""
        chosen = torch.unique(torch.cat(self.rows))
        if self.scores_N is None:
            yield from ((int(index), 1.0) for index in chosen)
            return
        low, high = float(self.scores_N.min()), float(self.scores_N.max())
        scale = max(high - low, 1e-9)
        for index in chosen.tolist():
            yield index, (float(self.scores_N[index]) - low) / scale if high > low else 1.0


class Strategy(Protocol):
    """Choose rows for a question. Holds settings and no state: any thread may ask."""

    @property
    def name(self) -> str: ...

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        """Return what is to be brought back; `rows` is not empty, the newest is the last."""


def newest(rows: Rows, count: int) -> torch.Tensor:
    """Return the indices of the newest rows."""
    return torch.arange(max(len(rows) - count, 0), len(rows))


def best(scores_N: torch.Tensor, frames: int, recent: int) -> torch.Tensor:
    """Return the newest `recent` rows and those of the greatest scores besides, `frames` in all, rising."""
    count = len(scores_N)
    recent = min(recent, frames, count)
    old, wanted = count - recent, min(frames, count) - recent
    chosen = torch.topk(scores_N[:old], wanted).indices
    return torch.cat((chosen, torch.arange(old, count))).sort().values


def apart(scores_N: torch.Tensor, frames: int, recent: int, less: float, reach: float) -> torch.Tensor:
    """Return rows as `best` does, but taken one by one, and each makes its neighbours in time worth less.

    A frame beside one that was taken mostly shows the same. `less`: by how much its score falls; `reach`: how
    many frames away that has fallen to e^-1 of it.
    """
    count = len(scores_N)
    recent = min(recent, frames, count)
    old, left_N = count - recent, scores_N[: count - recent].clone()
    around = math.ceil(3 * reach)
    fall = less * torch.exp(-((torch.arange(-around, around + 1) / max(reach, 1e-6)) ** 2))
    chosen = []
    for _ in range(min(frames, count) - recent):
        one = int(left_N.argmax())
        chosen.append(one)
        begin, end = max(one - around, 0), min(one + around + 1, old)
        left_N[begin:end] -= fall[begin - one + around : end - one + around]
        left_N[one] = -math.inf
    return torch.tensor([*sorted(chosen), *range(old, count)])


def standardised(scores_N: torch.Tensor) -> torch.Tensor:
    """Return scores with mean 0 and deviation 1; of a single row 0."""
    spread = scores_N.std(unbiased=False)
    return (scores_N - scores_N.mean()) / spread.clamp_min(1e-9)
