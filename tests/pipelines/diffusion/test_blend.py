"""Several prompts in one: how they are read, what is mixed, and that to turn a weight encodes nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.diffusion.blend import MOST_PARTS, Part, blended, mixed, mixed_words, parts_of
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.embedding import Embedding, Words
from pipelines.diffusion.noise import slerp
from pipelines.diffusion.prompts import PromptBook
from realtime.core.errors import ConfigError
from tests.vocabulary import timeless


def embedding(text: str, **more: torch.Tensor) -> Embedding:
    draw = torch.Generator().manual_seed(sum(map(ord, text)))
    return Embedding(text, torch.randn(1, 4, 8, generator=draw), len(text) % 3, more)


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("oil painting", [("oil painting", 1.0)]),
        ("oil: thick, 2:1", [("oil: thick, 2:1", 1.0)]),  # no bar: whatever it holds is the prompt
        ("oil:0.7 | pop art:0.3", [("oil", 0.7), ("pop art", 0.3)]),
        ("oil|pop art", [("oil", 0.5), ("pop art", 0.5)]),
        ("oil:3|pop art", [("oil", 0.75), ("pop art", 0.25)]),  # only ratios matter
        ("a:.5 | b : 1. | c:+.5", [("a", 0.25), ("b", 0.5), ("c", 0.25)]),
        ("oil:0 | pop art:2", [("pop art", 1.0)]),
        ("a: b:2 | c:2", [("a: b", 0.5), ("c", 0.5)]),
        ("oil |", [("oil", 1.0)]),  # while one types
        (" | ", [("", 1.0)]),
        (":1 | oil:1", [("", 0.5), ("oil", 0.5)]),  # the empty prompt, asked for by its weight
    ],
)
def test_a_prompt_is_read_as_its_parts(prompt: str, parts: list[tuple[str, float]]) -> None:
    seen = parts_of(prompt)
    assert [part.text for part in seen] == [text for text, _ in parts]
    assert [part.weight for part in seen] == pytest.approx([weight for _, weight in parts])


@pytest.mark.parametrize(
    "prompt", ["a:-1 | b:2", "a:0 | b:0", " | ".join("abcdefghi"), "a:" + "9" * 400 + " | b"]
)
def test_a_blend_that_cannot_be_is_refused_with_its_reason(prompt: str) -> None:
    with pytest.raises(ConfigError, match=r"weights|parts"):
        parts_of(prompt)
    with pytest.raises(ValueError, match=r"weights|parts"):
        PaintConfig(prompt=prompt)
    with pytest.raises(ValueError, match=r"weights|parts"):
        PaintConfig(negative_prompt=prompt)


@timeless
@given(st.text(alphabet="ab|:.-+0159 \n", max_size=60))
def test_whatever_is_typed_is_read_or_refused(prompt: str) -> None:
    try:
        parts = parts_of(prompt)
    except ConfigError:
        return
    assert 1 <= len(parts) <= MOST_PARTS
    assert sum(part.weight for part in parts) == pytest.approx(1.0)
    assert all(isinstance(part, Part) and part.weight > 0 for part in parts)


def test_a_linear_blend_is_the_weighted_mean_whatever_the_order() -> None:
    texts = ["oil", "pop art", "cat"]
    made = blended("oil:1 | pop art:2 | cat:5", "linear", embedding)
    right = sum(w * embedding(text).context_1TD for w, text in zip((1, 2, 5), texts, strict=True)) / 8
    assert torch.allclose(made.context_1TD, right, atol=1e-6)
    other = blended("cat:5 | oil:1 | pop art:2", "linear", embedding)
    assert torch.allclose(made.context_1TD, other.context_1TD, atol=1e-6)


def test_a_spherical_blend_turns_each_token() -> None:
    made = blended("oil | pop art:3", "spherical", embedding)
    right = slerp(embedding("oil").context_1TD, embedding("pop art").context_1TD, 0.75)
    assert torch.allclose(made.context_1TD, right, atol=1e-6)
    straight = blended("oil | pop art:3", "linear", embedding)
    assert not torch.allclose(made.context_1TD, straight.context_1TD, atol=0.05)


def test_what_else_the_text_side_gives_is_mixed_too_and_masks_are_joined() -> None:
    one = embedding("one", pooled=torch.tensor([[1.0, 0.0]]), mask=torch.tensor([[1, 1, 0, 0]]))
    other = embedding("other", pooled=torch.tensor([[0.0, 1.0]]), mask=torch.tensor([[1, 1, 1, 0]]))
    made = mixed(one, other, 0.25)
    assert torch.allclose(made.more["pooled"], torch.tensor([[0.75, 0.25]]))
    assert made.more["mask"].tolist() == [[1, 1, 1, 0]]
    bools = mixed(
        Embedding("a", one.context_1TD, more={"mask": torch.tensor([[True, False]])}),
        Embedding("b", other.context_1TD, more={"mask": torch.tensor([[False, False]])}),
        0.5,
    )
    assert bools.more["mask"].tolist() == [[True, False]]
    assert made.cut_tokens == max(one.cut_tokens, other.cut_tokens)
    assert made.time_rows == {}  # a new prompt to the network: nothing computed of the ends may be used


def test_the_ends_of_a_mixture_are_the_embeddings_themselves() -> None:
    one, other = embedding("one"), embedding("other")
    assert mixed(one, other, 0.0) is one
    assert mixed(one, other, 1.0) is other
    assert mixed(one, one, 0.5) is one
    words = Words(one, other)
    assert mixed_words(words, words, 0.5) is words
    half = mixed_words(words, Words(other, other), 0.5)
    assert half.negative is other
    assert torch.allclose(half.prompt.context_1TD, (one.context_1TD + other.context_1TD) / 2, atol=1e-6)


def test_to_turn_a_weight_encodes_nothing() -> None:
    asked: list[str] = []

    def encode(text: str) -> Embedding:
        asked.append(text)
        return embedding(text)

    book = PromptBook(encode)
    first = book.look_up("oil:0.7 | cat:0.3")
    assert asked == ["oil", "cat"]
    second = book.look_up("oil:0.6 | cat:0.4")
    third = book.look_up("oil:0.6 | cat:0.4", "spherical")
    assert asked == ["oil", "cat"]
    contexts = [one.context_1TD for one in (first, second, third)]
    assert not any(torch.equal(a, b) for a, b in pairwise(contexts))
    assert book.look_up("cat", "spherical") is book.look_up("cat")  # one prompt alone is never mixed
    assert asked == ["oil", "cat"]
