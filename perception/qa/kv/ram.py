"""Blocks in memory: as many as a limit in MiB allows, then the oldest or the least novel leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .leaving import Index, Limits
from .packing import Packing
from .store import BlockShape

if TYPE_CHECKING:
    import torch


class RamStore:
    """Keep blocks in host memory. One thread appends, any reads; who reads a block keeps it until then."""

    def __init__(self, packing: Packing, limits: Limits) -> None:
        self.packing = packing
        self.most_blocks = limits.blocks(packing.block_bytes)
        self._index: Index[torch.Tensor] = Index(limits)
        self._next = 0

    @property
    def shape(self) -> BlockShape:
        return self.packing.shape

    @property
    def used_bytes(self) -> int:
        return len(self._index) * self.packing.block_bytes

    def append(
        self, keys_LHTD: torch.Tensor, values_LHTD: torch.Tensor, at_ns: int, *, score: float = 0.0
    ) -> int:
        """Keep a copy of a block and return its number; others leave for it.

        `score` says how novel it is, for eviction by novelty. Raises ValueError for another shape.
        """
        number = self._next
        self._next += 1
        self._index.add(number, at_ns, score, self.packing.pack(keys_LHTD, values_LHTD))
        self.evict(self._index.expired(at_ns))
        while len(self._index) > self.most_blocks and (out := self._index.next_out()) is not None:
            self._index.take(out)
        return number

    def read(self, numbers: Sequence[int], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values (H, len(numbers) * T, D) of one layer. Raises KeyError for a hole."""
        return self.packing.unpack([self._index.get(number).item[layer] for number in numbers])

    def numbers(self) -> tuple[int, ...]:
        return self._index.numbers()

    def at_ns(self, number: int) -> int:
        """Return when the block's frame was captured. Raises KeyError for a hole."""
        return self._index.get(number).at_ns

    def evict(self, numbers: Sequence[int]) -> None:
        """Forget blocks; who is reading one keeps it until then."""
        for number in numbers:
            self._index.take(number)

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
        self.evict(self.numbers())
