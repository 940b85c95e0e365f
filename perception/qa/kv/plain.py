"""Make a plain, rotated cache that stock code goes on from: of un-rotated blocks, or of embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from transformers.cache_utils import DynamicCache

from .memory import TokenContext

if TYPE_CHECKING:
    from .cache import KV
    from .families.base import VideoModel


def plain_cache(model: VideoModel, sink: KV, blocks: Sequence[KV], frames: int) -> tuple[DynamicCache, int]:
    """Return a cache of the sink and each layer's blocks, rotated once, and how many tokens it holds.

    The next token's position is that number, whatever the model's axes: a frame on three axes takes less room
    than it has tokens, so all of it begins as much later. Only differences of positions count.
    """
    layout = model.layout
    tokens = layout.sink + frames * layout.tokens
    positions_AN = layout.past(frames) + (tokens - layout.end(frames))
    turn = model.rotary.turn(positions_AN) if tokens else None
    cache = DynamicCache()
    for layer in range(model.layers):
        keys, values = sink[0][layer], sink[1][layer]
        if frames:
            keys = torch.cat((keys, blocks[layer][0]), dim=1)
            values = torch.cat((values, blocks[layer][1]), dim=1)
        if turn is not None:
            cache.update(turn(keys)[None], values[None], layer)
    return _closed(model, cache, tokens)


def token_cache(model: VideoModel, context: TokenContext) -> tuple[DynamicCache, int]:
    """Prefill remembered embeddings after the prompt's beginning; return the cache and its tokens."""
    layout, count = model.layout, context.embeddings_NC.shape[0]
    before, after = (model.embed(ids) for ids in model.around_ids) if count else (model.embed(()),) * 2
    given = context.positions_N
    inside_N = torch.arange(count) if given is None else given
    span = int(inside_N.max()) + 1 if count else 0
    begin = layout.sink + len(before)
    positions_N = torch.cat(
        (
            torch.arange(begin),
            inside_N.cpu() + begin,
            torch.arange(len(after)) + begin + span,
        )
    ).to(model.device)
    shown_NC = context.embeddings_NC.to(model.device, model.dtype)
    tokens_NC = torch.cat((model.embed(model.sink_ids), before, shown_NC, after))
    positions_N = positions_N + (len(tokens_NC) - (begin + span + len(after)))
    cache = DynamicCache()
    if len(tokens_NC):
        model.run(tokens_NC, cache, positions_AN=positions_N.expand(layout.axes, -1))
    return _closed(model, cache, len(tokens_NC))


def _closed(model: VideoModel, cache: DynamicCache, tokens: int) -> tuple[DynamicCache, int]:
    """Add what stands between the last frame and the question."""
    tail_NC = model.tail()
    if len(tail_NC):
        model.run(tail_NC, cache, positions_AN=model.layout.text(len(tail_NC), tokens))
    return cache, tokens + len(tail_NC)
