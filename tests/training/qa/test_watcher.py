"""The committed watcher answers questions about held-out streams, by way of the memory that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks._answer_video import MEASURED, TUNED, Watched, questions, shown_by
from perception.qa.kv.ask import answer_ids
from perception.qa.kv.families.load import load
from training.qa.train import HELD_OUT
from training.qa.words import NUMBER_OF, VOCABULARY
from training.qa.world import world

MODEL = Path(__file__).resolve().parents[3] / "models" / "watcher"


@pytest.fixture(scope="module")
def watched() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model, source = load("watcher", device="cpu")
    assert source.licence == "Apache-2.0"
    made = world(np.random.default_rng((HELD_OUT, 99)), 96, True, 6)
    yield Watched(model, made, 1), questions(made, (HELD_OUT, 99, 1), 2)
    torch.set_num_threads(before)


def test_it_answers_right_by_what_the_default_brings_back(watched: Any) -> None:
    stream, asked = watched
    hits = [stream.says("hybrid", one) == NUMBER_OF[one.asked.answer] for one in asked]
    assert len(hits) >= 15
    assert sum(hits) >= 0.9 * len(hits)
    blind = [stream.says("last-k", one) == NUMBER_OF[one.asked.answer] for one in asked]
    assert sum(blind) < sum(hits)


def test_the_first_token_is_the_answer_that_generate_gives(watched: Any) -> None:
    stream, asked = watched
    model, question = stream.model, asked[-1]
    quick = stream.says("hybrid", question)  # and that is its strategy now
    context = stream.memory.context(model.query(question.asked.text), stream.memory.snapshot())
    assert answer_ids(model, context, model.prompt_ids(question.asked.text), 4) == (quick,)


def test_the_oracle_is_shown_what_the_truth_rests_on() -> None:
    made = world(np.random.default_rng((HELD_OUT, 98)), 200, True, 6)
    for one in questions(made, (HELD_OUT, 98, 1), 2):
        for frame in one.shown_by:
            assert set(made.thing_TK[frame].tolist()) & set(one.asked.about)
    assert shown_by(made, ()) == ()
    assert MEASURED != TUNED


def test_its_words_are_those_of_the_recipe_and_it_is_small() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    assert [tokenizer.convert_ids_to_tokens(number) for number in range(len(VOCABULARY))] == list(VOCABULARY)
    assert tokenizer("What color was the TOP-left circle?", add_special_tokens=False).input_ids == [
        NUMBER_OF[word] for word in ("what", "colour", "was", "the", "top-left", "circle", "?")
    ]
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 10_000_000
