"""A memory of keys and values gives what the stock model gives: five families, fp32, controls that fail."""

from __future__ import annotations

import torch
from transformers.cache_utils import DynamicCache

from perception.qa.kv.ask import answer_ids
from perception.qa.kv.families.base import VideoModel
from perception.qa.kv.strategies import Full

from .conftest import QUESTION, Given, eager, features, logits_after, pictures, remembered, stock_logits

CLOSE = 1e-5
FAR = 1e-3
"""What a control has to move logits by at least: a hundred times the tolerance."""


def _logits(model: VideoModel, memory, following) -> torch.Tensor:
    context = memory.context(model.query(QUESTION), memory.snapshot())
    return logits_after(model, context.cache, context.tokens, following)


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def test_bringing_back_all_equals_one_stock_forward_over_pictures_and_question(model: VideoModel) -> None:
    shown = pictures(6)
    prompt = model.prompt_ids(QUESTION)
    expected = stock_logits(model, shown, prompt)
    ours = _logits(model, remembered(model, shown, Full()), prompt)
    assert _apart(ours, expected) < CLOSE
    dropped = [*shown[:2], *shown[3:]]
    swapped = [*shown[:1], shown[4], *shown[2:4], shown[1], shown[5]]
    for wrong in (dropped, swapped):
        assert _apart(_logits(model, remembered(model, wrong, Full()), prompt), expected) > FAR


def test_a_sliding_window_equals_the_banded_mask(model: VideoModel) -> None:
    """Without a sink; compared are the values of all layers, which hang on the attention below them."""
    sink, model.sink_ids = model.sink_ids, ()
    model.__dict__.pop("layout", None)
    try:
        shown, window, size = pictures(7), 3, model.layout.tokens
        memory = remembered(model, shown, Full(), window_tokens=window * size)
        _, ours = zip(*(memory.read(range(7), layer) for layer in range(model.layers)), strict=True)
        differ = {frames: _apart(torch.stack(ours), _banded(model, shown, frames)) for frames in (2, 3, 4)}
    finally:
        model.sink_ids = sink
        model.__dict__.pop("layout")
    assert differ[window] < CLOSE
    assert min(differ[2], differ[4]) > FAR


def _banded(model: VideoModel, shown, window: int) -> torch.Tensor:
    """Return all layers' values (L, H, N, D) from one stock pass in which a frame sees `window` before it."""
    size, count = model.layout.tokens, len(shown)
    seen = [features(model, pixels) for pixels in shown]
    blocks = torch.cat([model.block(one.tokens_TC) for one in seen])
    frame_N = torch.arange(count).repeat_interleave(size)
    away = frame_N[:, None] - frame_N[None]
    allowed = torch.ones(count * size, count * size, dtype=torch.bool).tril() & (away <= window)
    mask = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[None, None]
    positions = model.layout.past(count)
    more = {}
    if seen[0].deep_DTC is not None:
        before = len(model.around_ids[0])
        visual = torch.zeros(size, dtype=torch.bool)
        visual[before : before + len(seen[0].tokens_TC)] = True
        more = {
            "visual_pos_masks": visual.repeat(count)[None],
            "deepstack_visual_embeds": list(torch.cat([one.deep_DTC for one in seen], dim=1)),
        }
    cache = DynamicCache()
    with torch.no_grad(), eager(model):
        model.text(
            inputs_embeds=blocks[None],
            position_ids=positions if model.rotary.axes == 1 else positions[:, None],
            attention_mask=mask,
            past_key_values=cache,
            **more,
        )
    return torch.stack([layer.values[0] for layer in cache.layers])


def test_a_part_equals_the_stock_cache_turned_by_the_difference_of_positions(model: VideoModel) -> None:
    shown, chosen, prompt = pictures(6), (1, 2, 5), model.prompt_ids(QUESTION)
    memory = remembered(model, shown, Given(*chosen))
    tokens = model.layout.sink + len(chosen) * model.layout.tokens
    expected = _plain(model, _turned(model, shown, chosen), tokens, prompt)
    assert _apart(_logits(model, memory, prompt), expected) < CLOSE
    for wrong in ((1, 5), (1, 3, 5)):
        memory.strategy = Given(*wrong)
        assert _apart(_logits(model, memory, prompt), expected) > FAR


def _turned(model: VideoModel, shown, chosen) -> DynamicCache:
    """Take sink and frames out of one stock pass over all, and turn their rotated keys onwards."""
    layout, size = model.layout, model.layout.tokens
    seen = [features(model, pixels) for pixels in shown]
    stock = DynamicCache()
    with eager(model):
        model.run(model.embed(model.sink_ids), stock, positions_AN=layout.text(layout.sink, 0))
        for index, one in enumerate(seen):
            model.run(
                model.block(one.tokens_TC), stock, positions_AN=layout.frame(index), deep_DTC=one.deep_DTC
            )
    index_N = torch.cat(
        [torch.arange(layout.sink)] + [layout.sink + i * size + torch.arange(size) for i in chosen]
    )
    late = layout.sink + len(chosen) * size - layout.end(len(chosen))
    turn = model.rotary.turn(layout.past(len(chosen)) + late - layout.past(len(shown))[:, index_N])
    part = DynamicCache()
    for layer, kept in enumerate(stock.layers):
        part.update(turn(kept.keys[:, :, index_N]), kept.values[:, :, index_N], layer)
    return part


def _plain(model: VideoModel, cache: DynamicCache, tokens: int, prompt) -> torch.Tensor:
    tail = model.tail()
    if len(tail):
        model.run(tail, cache, positions_AN=model.layout.text(len(tail), tokens))
    return logits_after(model, cache, tokens + len(tail), prompt)


def test_answering_equals_longer_and_longer_stock_forwards(model: VideoModel) -> None:
    shown, prompt = pictures(4), model.prompt_ids(QUESTION)
    memory = remembered(model, shown, Full())
    given = answer_ids(model, memory.context(model.query(QUESTION), memory.snapshot()), prompt, 3)
    expected: list[int] = []
    for _ in range(len(given)):
        expected.append(int(stock_logits(model, shown, (*prompt, *expected))[-1].argmax()))
    assert len(given) == 3
    assert list(given) == expected
