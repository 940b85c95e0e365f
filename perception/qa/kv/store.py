"""Where keys and values of past frames lie: one block a frame, numbered as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class BlockShape:
    """Say how large a block is: all layers' keys and values of one frame's tokens."""

    layers: int
    heads: int
    """Of keys and values."""
    tokens: int
    """Of one frame."""
    head_dim: int


class BlockStore(Protocol):
    """Keep blocks by number: one writer appends, any thread reads.

    Keys are not rotated. Numbers are 0, 1, 2 ... and are never used again; an evicted block leaves a hole.
    """

    @property
    def shape(self) -> BlockShape: ...

    def append(self, keys_LHTD: torch.Tensor, values_LHTD: torch.Tensor, at_ns: int) -> int:
        """Keep a block and return its number. Raises EngineError when the disk is full; none is lost then."""

    def read(self, numbers: Sequence[int], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values (H, len(numbers) * T, D) of one layer, joined in the order asked for.

        Raises KeyError for a block that is not there (any more).
        """

    def numbers(self) -> Sequence[int]:
        """Return which blocks there are, the oldest first."""

    def at_ns(self, number: int) -> int:
        """Return when the block's frame was captured."""

    def evict(self, numbers: Sequence[int]) -> None:
        """Forget blocks, on disk too."""

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
