"""Prompts off the painting lane: the newest wish wins, nothing waits, wording becomes known words."""

import json
import threading
from pathlib import Path

import pytest
import torch

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.embedding import Embedding
from pipelines.diffusion.prompts import PromptBook, Prompter
from pipelines.diffusion.wording import Wording

PAINTER = Wording.read(
    json.loads((Path(__file__).parents[3] / "models/painter/vitascope.json").read_text(encoding="utf-8"))
)
TIMEOUT_S = 20.0


class Encoder:
    """Encode when it is let; remember what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

    def __call__(self, text: str) -> Embedding:
        self.asked.append(text)
        self.entered.set()
        assert self.go.wait(TIMEOUT_S)
        if text == "bad":
            raise RuntimeError("no room")
        return Embedding(text, torch.full((1, 2, 3), float(len(text))))


def test_the_last_wish_wins_and_nobody_waits() -> None:
    encoder = Encoder()
    prompter = Prompter(PromptBook(encoder), "first", "")
    encoder.go.clear()
    encoder.entered.clear()
    prompter.want("a", "")
    assert encoder.entered.wait(TIMEOUT_S)  # "a" is being encoded, and stays so
    for text in ("b", "c", "d"):
        prompter.want(text, "")
        assert prompter.newest().prompt.text == "first"
    encoder.go.set()
    assert prompter.wait(TIMEOUT_S).prompt.text == "d"
    assert encoder.asked == ["first", "", "a", "d"]


def test_known_prompts_are_not_encoded_again_and_old_ones_are_forgotten() -> None:
    encoder = Encoder()
    book = PromptBook(encoder, capacity=2)
    first = book.words("a", "a")
    assert first.prompt is first.negative is book.look_up("a")
    book.look_up("b"), book.look_up("a"), book.look_up("c")
    assert encoder.asked == ["a", "b", "c"]
    book.look_up("a"), book.look_up("b")
    assert encoder.asked == ["a", "b", "c", "b"]


def test_both_prompts_change_together() -> None:
    prompter = Prompter(PromptBook(Encoder()), "one", "not one")
    prompter.want("two", "not two")
    words = prompter.wait(TIMEOUT_S)
    assert (words.prompt.text, words.negative.text) == ("two", "not two")


def test_an_error_comes_out_once_and_the_next_wish_is_served() -> None:
    prompter = Prompter(PromptBook(Encoder()), "good", "")
    prompter.want("bad", "")
    with pytest.raises(RuntimeError, match="no room"):
        prompter.wait(TIMEOUT_S)
    assert prompter.newest().prompt.text == "good"
    prompter.want("better", "")
    assert prompter.wait(TIMEOUT_S).prompt.text == "better"


def test_a_wish_during_a_failing_one_is_not_lost() -> None:
    encoder = Encoder()
    prompter = Prompter(PromptBook(encoder), "good", "")
    encoder.go.clear()
    encoder.entered.clear()
    prompter.want("bad", "")
    assert encoder.entered.wait(TIMEOUT_S)
    prompter.want("better", "")
    encoder.go.set()
    with pytest.raises(RuntimeError):
        prompter.wait(TIMEOUT_S)
    assert prompter.wait(TIMEOUT_S).prompt.text == "better"


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("van gogh", "watercolor painting, vivid"),
        ("A house, Van Gogh style", "A house, watercolor painting, vivid style"),
        ("comic book hero", "halftone print hero"),  # longest first: not "comic"
        ("blueprint plan", "blueprint plan"),  # a known wording, though "plan" is a synonym
        ("pencil sketch", "pencil sketch"),
        ("watercolor painting", "watercolor painting"),  # though "painting" is a synonym
        ("cartoon, van gogh", "cartoon, vivid"),  # the plainly said look stays
        ("x-ray", "blueprint, dark"),
        ("ein Haus am See", "ein Haus am See"),
        ("", ""),
    ],
)
def test_free_wording_becomes_known_words(typed: str, known: str) -> None:
    assert PAINTER.known(typed) == known


def test_every_synonym_leads_to_known_words_only() -> None:
    for key, parts in PAINTER.synonyms.items():
        assert all(tuple(part.split()) in PAINTER.kinds for part in parts), key
        assert PAINTER.known(" ".join(key)) == ", ".join(parts)


def test_a_model_without_vocabulary_gets_every_word_as_typed() -> None:
    assert Wording().known("  van  gogh ,painting") == "  van  gogh ,painting"


def test_a_prompt_of_10000_characters_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="has 10000 characters, at most 2000"):
        PaintConfig(prompt="x" * 10_000)
    assert len(PaintConfig(prompt="x" * 2000).prompt) == 2000


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 5},
        {"strength": 1.01},
        {"size_px": 250},
        {"size_px": 128},
        {"seed": -1},
        {"promt": "x"},
    ],
)
def test_values_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PaintConfig.model_validate(wrong)
