"""What sums up a clip as a few tokens, and what tells whether a clip has to do with a question."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch.nn.functional import adaptive_avg_pool1d

from .parts import Grid, pooled

WATCHER = Path(__file__).parents[4] / "models" / "watcher"


@runtime_checkable
class Summariser(Protocol):
    """Sum up clips. Holds weights, nothing of a stream."""

    name: str
    """What people are told: whether it was trained, and on what."""
    memory_tokens: int
    """How many tokens a clip becomes."""
    clip_frames: int
    """How many frames a clip has for it."""
    carries: bool
    """Whether a clip's memory takes in that of the clip before."""

    def clip(
        self, before_MC: torch.Tensor | None, clip_FTC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a clip's memory (M, C), which may take in the one before, and its indicator (D,)."""

    def question(self, embeddings_NC: torch.Tensor) -> torch.Tensor:
        """Return a question's indicator (D,), to be compared with those of clips by direction."""


class MeanPool:
    """Sum up by means, untrained: a baseline. Takes in nothing of clips before."""

    name = "mean pool (untrained)"
    clip_frames = 16
    carries = False

    def __init__(self, grid_hw: Grid, moments: int = 4, to: Grid = (4, 4)) -> None:
        """Keep `moments` means over time of `to` cells each."""
        self._grid, self._moments = grid_hw, moments
        self._to = (min(grid_hw[0], to[0]), min(grid_hw[1], to[1]))
        self.memory_tokens = moments * self._to[0] * self._to[1]

    def clip(
        self, before_MC: torch.Tensor | None, clip_FTC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        small_FTC = torch.stack([pooled(frame, self._grid, self._to) for frame in clip_FTC])
        over_time = adaptive_avg_pool1d(small_FTC.float().permute(1, 2, 0), self._moments)
        memory_MC = over_time.permute(2, 0, 1).flatten(0, 1).to(clip_FTC.dtype)
        return memory_MC, clip_FTC.float().mean((0, 1))

    def question(self, embeddings_NC: torch.Tensor) -> torch.Tensor:
        return embeddings_NC.float().mean(0)


def best_summariser(channels: int, grid_hw: Grid, folder: Path = WATCHER) -> Summariser:
    """Return the one that we trained, where it is there and fits the model; else the mean pool.

    Raises ModelCorrupt for files that cannot be read.
    """
    if (folder / "summariser.safetensors").is_file():
        from perception.nets.summariser import load_summariser

        trained = load_summariser(folder)
        if (trained.plan.width, trained.plan.tokens) == (channels, grid_hw[0] * grid_hw[1]):
            return trained
    return MeanPool(grid_hw)
