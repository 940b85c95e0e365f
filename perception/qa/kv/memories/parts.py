"""What memories of tokens are made of: pieces that hold tokens of a stretch of time; what was forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import adaptive_avg_pool2d

from perception.qa.kv.memory import Pick, TokenContext
from realtime.core.errors import ConfigError

Grid = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Hold tokens of one frame, or of several between two moments. Never changed."""

    tokens_TC: torch.Tensor
    at_ns: int
    """Of one frame; the mean over those that are mixed."""
    begin_ns: int
    end_ns: int
    """When the first and the last frame of it were captured."""

    @classmethod
    def of_frame(cls, tokens_TC: torch.Tensor, at_ns: int) -> Piece:
        return cls(tokens_TC, at_ns, at_ns, at_ns)


def pooled(features_TC: torch.Tensor, grid: Grid, to: Grid) -> torch.Tensor:
    """Return the means over the cells of a coarser grid, (rows * columns, C); never finer than it was."""
    rows, columns = min(grid[0], to[0]), min(grid[1], to[1])
    if (rows, columns) == grid:
        return features_TC
    channels = features_TC.shape[-1]
    picture_CHW = features_TC.T.reshape(channels, *grid).float()
    return adaptive_avg_pool2d(picture_CHW, (rows, columns)).flatten(1).T.to(features_TC.dtype).contiguous()


def checked(features_TC: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Return a frame's tokens as a memory of its own. Raises ConfigError when they do not fill the grid."""
    if features_TC.ndim != 2 or features_TC.shape[0] != grid[0] * grid[1]:
        raise ConfigError(
            f"A frame of {grid[0]} by {grid[1]} tokens was expected, got {tuple(features_TC.shape)}.",
            hint="Give the memory the grid of its model.",
        )
    return features_TC.detach().clone()


def context_of(
    pieces: Sequence[Piece], like_NC: torch.Tensor, picks: Iterable[tuple[Piece, float]]
) -> TokenContext:
    """Join pieces in the order given, in the type and on the device of `like_NC`; picks in order of time."""
    times = tuple(piece.at_ns for piece in pieces for _ in range(len(piece.tokens_TC)))
    empty = torch.empty(0, like_NC.shape[-1])
    tokens_NC = torch.cat([piece.tokens_TC.to(like_NC) for piece in pieces] or [empty.to(like_NC)])
    shown = sorted((Pick(piece.at_ns, score) for piece, score in picks), key=lambda pick: pick.at_ns)
    return TokenContext(tokens_NC, times, tuple(shown))


class Forgotten:
    """Note which times were forgotten, so that snapshots from before tell nothing of them.

    The memory's thread adds; any thread asks. A snapshot holds how many times there were when it was taken.
    """

    def __init__(self) -> None:
        self._times: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, begin_ns: int, end_ns: int) -> None:
        self._times = (*self._times, (begin_ns, end_ns))

    def keeps(self, piece: Piece, since: int) -> bool:
        """Return whether nothing of a piece was forgotten after a snapshot that knew of `since` times."""
        return not any(lies_in(piece, *one) for one in self._times[since:])


def lies_in(piece: Piece, begin_ns: int, end_ns: int) -> bool:
    """Return whether a piece may mix frames from `begin_ns` up to `end_ns`: whether the stretches meet."""
    return piece.begin_ns < end_ns and piece.end_ns >= begin_ns
