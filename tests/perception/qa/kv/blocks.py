"""Blocks whose content follows from their number, so that whoever reads one knows what it must be."""

from __future__ import annotations

from pathlib import Path

import torch

from perception.qa.kv.leaving import Limits
from perception.qa.kv.packing import Packing
from perception.qa.kv.slab_store import SlabStore
from perception.qa.kv.store import BlockShape, BlockStore

SHAPE = BlockShape(layers=3, heads=2, tokens=4, head_dim=8)
PACKING = Packing(SHAPE, "float32")
ROOM = Limits(most_mib=64.0)


def block(number: int, shape: BlockShape = SHAPE) -> tuple[torch.Tensor, torch.Tensor]:
    """Return keys and values (L, H, T, D) that no other number has."""
    chance = torch.Generator().manual_seed(number)
    size = (shape.layers, shape.heads, shape.tokens, shape.head_dim)
    return torch.randn(size, generator=chance), torch.randn(size, generator=chance)


def fill(store: BlockStore, count: int, first: int = 0) -> None:
    """Append blocks `first` and on, each captured `number` microseconds after the start."""
    for number in range(first, first + count):
        assert store.append(*block(number), at_ns=number * 1000) == number


def is_whole(store: BlockStore, number: int) -> bool:
    """Return whether a block is what was appended under its number, to the last bit."""
    keys, values = block(number, store.shape)
    for layer in range(store.shape.layers):
        got_keys, got_values = store.read([number], layer)
        if not (torch.equal(got_keys, keys[layer]) and torch.equal(got_values, values[layer])):
            return False
    return store.at_ns(number) == number * 1000


def open_slabs(folder: Path, limits: Limits = ROOM, *, slab_mib: float = 0.02, **more: object) -> SlabStore:
    """Open a store whose files hold about ten blocks each."""
    return SlabStore(folder, PACKING, "tiny@1", limits, slab_mib=slab_mib, **more)  # type: ignore[arg-type]
