"""What an encoder keeps of a stream, as a value: whoever holds it may go on from there, and again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .plans import Plan


@dataclass(frozen=True, slots=True)
class Cached:
    """Hold the caches of one stream. Nobody writes to its tensors; a step makes new ones."""

    tensors: tuple[Tensor, ...]
    """In the order of `NAMES`, one row each."""
    frames: int = 0
    """Encoder frames that were made since the stream began: what a step makes next has this number."""

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return sum(one.numel() * one.element_size() for one in self.tensors)


NAMES = ("keys", "values", "past", "edges")
"""Of the caches, as the step's network takes them."""


def shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Return the shape of each cache without its row."""
    heads = (plan.layers, plan.heads, plan.left, plan.width // plan.heads)
    edges = sum(channels * bands for channels, bands in edge_sizes(plan))
    every = (heads, heads, (plan.layers, plan.width, plan.kernel - 1), (edges,))
    return dict(zip(NAMES, every, strict=True))


def edge_sizes(plan: Plan) -> list[tuple[int, int]]:
    """Return channels and bands of what enters each stage; their last frames lie side by side in "edges"."""
    return [(1 if stage == 0 else plan.channels, bands) for stage, bands in enumerate(plan.bands()[:-1])]


def nothing(plan: Plan) -> Cached:
    """Return the caches of a stream that has not begun."""
    return Cached(tuple(torch.zeros(1, *shape) for shape in shapes(plan).values()))


def spans(plan: Plan, lookahead: int, frames: int, mels: int | None = None) -> Tensor:
    """Return of each stage's places in the chunk after `frames` frames which are real, (1, stages + 1, 2).

    `mels` is how many mel frames the stream has, where it ends in this chunk: offline, what lies behind is
    zero within each stage, whatever its bias would make of it.
    """
    found = []
    for stage in range(plan.stages + 1):
        shrink = plan.factor >> stage
        places, empty = (lookahead + 1) * shrink, shrink - 1
        begin = frames * shrink  # where this chunk begins, counted with the empty places before the stream
        low = min(max(empty - begin, 0), places)
        high = places if mels is None else min(max(plan.frames(mels, stage) + empty - begin, 0), places)
        found.append((low, high))
    return torch.tensor([found], dtype=torch.float32)
