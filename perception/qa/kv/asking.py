"""One question's way through a memory of keys and values: what it has read, it reads no second time.

The pass of the bare question reads blocks layer by layer, and most of them are what the answer is to have,
too. From disk that is half of what a question costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from .cache import Chosen, StreamCache

if TYPE_CHECKING:
    from .cache import KV
    from .kvmemory import KVMemory
    from .memory import Query


class Asking:
    """Read blocks and run passes for one question. Satisfies `strategies.Asked`."""

    def __init__(self, memory: KVMemory) -> None:
        self._memory = memory
        self._known: dict[tuple[int, int], KV] = {}

    def read(self, numbers: Sequence[int], layer: int) -> KV:
        """Return blocks of one layer, joined, on the model's device. Raises KeyError for one that is gone."""
        missing = [number for number in numbers if (layer, number) not in self._known]
        keys, values = self._memory.read(missing, layer)
        self._keep(missing, layer, keys, values)
        if len(missing) == len(numbers):
            return keys, values
        found = [self._known[layer, number] for number in numbers]
        return torch.cat([k for k, _ in found], dim=1), torch.cat([v for _, v in found], dim=1)

    def ask_pass(self, query: Query, choose: Callable[[int, torch.Tensor], Sequence[int]]) -> None:
        """Run a bare question through the model; each layer sees the blocks that `choose` names for it.

        `choose(layer, query_V)` gets the layer's query: un-rotated, averaged over the question's tokens and
        summed over the heads of queries that share a head of keys, in float32 on the CPU.
        """
        memory, model = self._memory, self._memory.model

        def read(layer: int, query_HND: torch.Tensor) -> KV:
            mean_HD = query_HND.float().mean(dim=1)
            summed = mean_HD.view(model.kv_heads, -1, model.head_dim).sum(dim=1)
            return self.read(choose(layer, summed.flatten().cpu()), layer)

        text_AN = model.layout.text(len(query.ids), 0)
        cache = StreamCache(Chosen(memory.sink, read), model.layout, model.rotary, text_AN, model.layers)
        model.run(query.embeddings_NC, cache)

    def _keep(self, numbers: Sequence[int], layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        if numbers:
            tokens = keys.shape[1] // len(numbers)
            parts = zip(numbers, keys.split(tokens, dim=1), values.split(tokens, dim=1), strict=True)
            self._known.update({(layer, number): (k, v) for number, k, v in parts})
