"""What one pass through the model sees of the stream, and what it leaves behind.

A `StreamCache` lives for one forward: the model puts the new tokens' keys and values into it and gets just
these back; the attention function then has them joined to the past. What the past is depends on the pass:

    sink     nothing: the beginning of the prompt
    encode   the sink and the window of the newest frames: one more frame
    ask      the sink and, layer by layer, the frames that a question chooses

Nothing outlives the pass but what its caller takes out of it, so any number of passes may run at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from .attention import Rotary, Turn, causal_mask
from .layout import Layout

KV = tuple[torch.Tensor, torch.Tensor]
"""Keys, un-rotated, and values of one layer: (H, N, D) each, H heads of keys."""


class Past(Protocol):
    """Give what came before a pass, layer by layer."""

    def layer(self, index: int, query_HND: torch.Tensor) -> KV:
        """Return a layer's past for un-rotated queries, sink first."""


class Fixed:
    """Give a past that does not depend on what is asked: the sink, and the window."""

    def __init__(self, *parts: KV) -> None:
        self._parts = parts

    def layer(self, index: int, query_HND: torch.Tensor) -> KV:
        if not self._parts:
            empty = query_HND[:, :0]
            return empty, empty
        if len(self._parts) == 1:
            return self._parts[0][0][index], self._parts[0][1][index]
        keys, values = zip(*((k[index], v[index]) for k, v in self._parts), strict=True)
        return torch.cat(keys, dim=1), torch.cat(values, dim=1)


class Chosen:
    """Give the sink and what a question chooses at each layer."""

    def __init__(self, sink: KV, choose: Callable[[int, torch.Tensor], KV]) -> None:
        self._sink, self._choose = sink, choose

    def layer(self, index: int, query_HND: torch.Tensor) -> KV:
        keys, values = self._choose(index, query_HND)
        return torch.cat((self._sink[0][index], keys), 1), torch.cat((self._sink[1][index], values), 1)


class StreamCache(Cache):
    """Hold one pass's new keys and values, and join them to the past. Of a batch of one."""

    def __init__(self, past: Past, layout: Layout, rotary: Rotary, new_AN: torch.Tensor, layers: int) -> None:
        super().__init__(layers=[_New() for _ in range(layers)])
        self._past, self._layout, self._rotary, self._new_AN = past, layout, rotary, new_AN
        self._known: dict[int, tuple[Turn, torch.Tensor | None]] = {}

    @property
    def new(self) -> KV:
        """Return what the pass computed: un-rotated keys, and values, (L, H, N, D) each."""
        return (
            torch.stack([layer.keys[0] for layer in self.layers]),
            torch.stack([layer.values[0] for layer in self.layers]),
        )

    def joined(
        self, index: int, query_1HND: torch.Tensor, key_1HND: torch.Tensor, value_1HND: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return rotated queries, rotated keys and values of past and new, and who sees whom."""
        keys_HND, values_HND = self._past.layer(index, query_1HND[0])
        past = keys_HND.shape[1]
        turn, mask = self._positions(past)
        keys = key_1HND if past == 0 else torch.cat((keys_HND[None], key_1HND), dim=2)
        values = value_1HND if past == 0 else torch.cat((values_HND[None], value_1HND), dim=2)
        return turn[slice(past, None)](query_1HND), turn(keys), values, mask

    def _positions(self, past: int) -> tuple[Turn, torch.Tensor | None]:
        """Return rotation and mask for a past of so many tokens; layers mostly have equally many."""
        if past not in self._known:
            frames = max(past - self._layout.sink, 0) // self._layout.tokens
            past_AN = self._layout.past(frames)[:, :past]
            new_AN = self._new_AN + (self._layout.end(frames) if past else 0)
            turn = self._rotary.turn(torch.cat((past_AN, new_AN), dim=1))
            self._known[past] = turn, causal_mask(past, new_AN.shape[1], new_AN.device)
        return self._known[past]


class _New(CacheLayerMixin):
    """Keep a layer's new keys and values, and give back no others."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> KV:
        self.keys, self.values, self.is_initialized = key_states, value_states, True
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1
