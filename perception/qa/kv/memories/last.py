"""The newest k frames and nothing else: the baseline that a memory has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from perception.qa.kv.memory import Query, TokenContext
from realtime.core.errors import ConfigError

from .parts import Forgotten, Grid, Piece, checked, context_of, lies_in


@dataclass(frozen=True, slots=True, eq=False)
class LastSnapshot:
    """Hold the newest frames of a moment."""

    frames: tuple[Piece, ...] = ()
    forgotten: int = 0


class LastFrames:
    """Remember the newest `frames` frames in full. Satisfies `Memory[LastSnapshot]`."""

    def __init__(self, grid_hw: Grid, frames: int = 4) -> None:
        if frames < 1:
            raise ConfigError(f"The newest frames are one at least, got {frames}.")
        self._grid, self._most = grid_hw, frames
        self._forgotten = Forgotten()
        self._now = LastSnapshot()

    def push(self, features_TC: torch.Tensor, at_ns: int) -> None:
        """Take in one frame; the oldest goes."""
        piece = Piece.of_frame(checked(features_TC, self._grid), at_ns)
        self._now = LastSnapshot((*self._now.frames, piece)[-self._most :], len(self._forgotten))

    def snapshot(self) -> LastSnapshot:
        return self._now

    def context(self, query: Query, memory: LastSnapshot) -> TokenContext:
        """Return all that is there, the oldest first."""
        frames = [f for f in memory.frames if self._forgotten.keeps(f, memory.forgotten)]
        return context_of(frames, query.embeddings_NC, [(frame, 1.0) for frame in frames])

    def forget(self, begin_ns: int, end_ns: int) -> int:
        """Delete frames from `begin_ns` up to `end_ns`; return how many."""
        left = tuple(frame for frame in self._now.frames if not lies_in(frame, begin_ns, end_ns))
        gone = len(self._now.frames) - len(left)
        self._forgotten.add(begin_ns, end_ns)
        self._now = LastSnapshot(left, len(self._forgotten))
        return gone

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
        self._now = LastSnapshot()
