"""What strategies find in long streams, where it is known what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perception.qa.kv.ask import answer_ids
from perception.qa.kv.families.tiny import tiny
from perception.qa.kv.kvmemory import KVMemory
from perception.qa.kv.strategies import (
    NAMES,
    ColourEmbedder,
    External,
    Hybrid,
    LastK,
    Novelty,
    Rekv,
    Uniform,
    Voted,
    strategy,
)
from perception.qa.kv.strategies.base import apart, best
from perception.qa.kv.strategies.internal import layer_scores
from realtime.core.errors import ConfigError

from .conftest import SECOND, Blocks, features, pictures, remembered
from .lookup import TAG, VALUES, frame, lookup

LENGTHS = (256, pytest.param(1024, marks=pytest.mark.nightly))


@pytest.fixture(scope="module", params=LENGTHS)
def stream(request: pytest.FixtureRequest):
    """Give the lookup transformer after a long stream, and what each frame's value was."""
    frames = request.param
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tags_NT = torch.nn.functional.normalize(torch.randn(frames, TAG), dim=1)
    values = torch.randint(VALUES, (frames,)).tolist()
    memory = KVMemory(lookup(tags_NT), Blocks, LastK(), window_tokens=16)
    for index, value in enumerate(values):
        memory.push(frame(tags_NT[index], value), (index + 1) * SECOND)
    return memory, values


def _right(memory: KVMemory, values: list[int], asked: range) -> tuple[float, float]:
    """Return how many answers are right, and how often the frame in question was brought back."""
    model, snapshot, right, found = memory.model, memory.snapshot(), 0, 0
    for index in asked:
        context = memory.context(model.query(f"tag{index}"), snapshot)
        (answer,) = answer_ids(model, context, model.prompt_ids(f"tag{index}"), 1)
        right += model.tokenizer.convert_ids_to_tokens(answer) == f"value{values[index]}"
        found += all(index in chosen for chosen in context.extra["numbers"])
    return right / len(asked), found / len(asked)


def test_the_lookup_transformer_answers_when_the_frame_is_brought_back_and_only_then(stream) -> None:
    memory, values = stream
    frames = len(values)
    asked = range(3, frames - 8, frames // 16)
    for one in (Rekv(4), Voted(4), Hybrid(4, novelty=0.0)):
        memory.strategy = one
        assert _right(memory, values, asked) == (1.0, 1.0), one.name
    for one in (LastK(4), Uniform(4)):
        memory.strategy = one
        right, found = _right(memory, values, asked)
        assert right <= 0.2
        assert found <= 0.1
    memory.strategy = LastK(4)
    assert _right(memory, values, range(frames - 4, frames)) == (1.0, 1.0)


@pytest.mark.parametrize("frames", LENGTHS)
def test_a_needle_among_random_weights_is_found_by_the_first_layer(frames: int) -> None:
    """Keys made by the matrix of queries: then what equals the question's mean fits it best."""
    torch.manual_seed(1)
    model = tiny("llava_onevision", layers=1)
    attention = model.text.layers[0].self_attn
    with torch.no_grad():
        rows = torch.arange(model.query_heads * model.head_dim).view(model.kv_heads, -1, model.head_dim)
        for part in (attention.q_proj, attention.k_proj):
            part.bias.zero_()
        for group in range(model.query_heads // model.kv_heads):
            attention.q_proj.weight[rows.view(model.kv_heads, -1, model.head_dim)[:, group].flatten()] = (
                attention.k_proj.weight
            )
    memory = KVMemory(model, Blocks, LastK(), window_tokens=40)
    words = ["cup", "red blue", "green left ?", "what circle none", "where is the ."]
    planted = {frames // 6 * (n + 1): model.query(text) for n, text in enumerate(words)}
    spread = model.text.embed_tokens.weight.std()
    for index in range(frames):
        tokens = torch.randn(4, model.width) * spread
        if index in planted:
            tokens = planted[index].embeddings_NC.mean(dim=0) + 0.1 * tokens
        memory.push(tokens, (index + 1) * SECOND)
    rows_now = memory.snapshot().rows
    assert rows_now is not None
    for index, query in planted.items():
        _, chosen = layer_scores(query, rows_now, memory, 4, 0)
        assert index in chosen[0].tolist()


def test_an_embedder_outside_the_model_finds_a_colour(llava) -> None:
    random, embedder = np.random.default_rng(4), ColourEmbedder()
    memory = KVMemory(llava, Blocks, External(embedder, frames=4, recent=1), embedding_size=12)
    red = np.full((40, 40, 3), (110, 110, 110), np.uint8)
    red[10:20, 10:20] = (210, 30, 45)
    for index in range(30):
        pixels = random.integers(90, 150, (40, 40, 3), dtype=np.uint8) if index != 11 else red
        tokens = features(llava, pixels).tokens_TC
        memory.push(tokens, (index + 1) * SECOND, embedding_E=embedder.picture(pixels))
    picks = memory.context(llava.query("where is the red cup ?"), memory.snapshot()).picks
    assert {11, 29} <= {pick.number for pick in picks}
    best = max(picks, key=lambda pick: pick.score)
    assert (best.number, best.at_ns) == (11, 12 * SECOND)


def test_novelty_finds_what_differs_from_most(llava) -> None:
    still, other = pictures(1)[0], np.full((40, 56, 3), 255, np.uint8)
    shown = [other if index == 7 else np.roll(still, index % 2, axis=1) for index in range(20)]
    memory = remembered(llava, shown, Novelty(3, recent=1))
    picks = memory.context(llava.query("a"), memory.snapshot()).picks
    assert {7, 19} <= {pick.number for pick in picks}


def test_frames_are_taken_apart_where_many_of_one_moment_are_good() -> None:
    scores = torch.zeros(40)
    scores[10:16] = torch.tensor([2.0, 2.1, 2.2, 2.2, 2.1, 2.0])
    scores[30] = 1.5
    assert best(scores, 5, 1).tolist() == [11, 12, 13, 14, 39]
    taken = apart(scores, 5, 1, less=1.0, reach=2.0).tolist()
    assert taken[-1] == 39
    assert 30 in taken
    assert len(taken) == 5
    assert taken == sorted(taken)
    assert apart(scores[:3], 8, 2, less=1.0, reach=2.0).tolist() == [0, 1, 2]


def test_every_named_strategy_keeps_to_its_frames_and_to_time(llava) -> None:
    memory = remembered(llava, pictures(12), LastK())
    for name in set(NAMES) - {"external"}:  # which has a test of its own, with embeddings
        memory.strategy = strategy(name, frames=5)
        context = memory.context(llava.query("what is left ?"), memory.snapshot())
        for chosen in context.extra["numbers"]:
            assert chosen == sorted(set(chosen))
            assert len(chosen) == (12 if name == "full" else 5)
        assert all(0.0 <= pick.score <= 1.0 for pick in context.picks)
    with pytest.raises(ConfigError, match="hybrid, voted"):
        strategy("best")
