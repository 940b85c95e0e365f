"""The painter's language: what is drawn for training is understood, and what ships is consistent."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.painter.export import MODEL, settings
from training.painter.prompts import LOOKS, MOODS, STRENGTHS, SYNONYMS, build_tokenizer, draw, parse
from training.painter.styles import MOODS as MOOD_TARGETS
from training.painter.styles import STYLES


def test_every_word_has_a_target() -> None:
    assert [look.id for look in LOOKS] == list(STYLES)
    assert set(MOODS) == set(MOOD_TARGETS)


def test_what_is_drawn_is_what_a_reader_understands() -> None:
    rng = np.random.default_rng(1)
    wishes = [draw(rng) for _ in range(400)]
    wrong = [w for w in wishes if parse(w.text).look != w.look]
    assert len(wrong) <= len(wishes) // 50, wrong[:5]
    assert {w.look for w in wishes} == set(range(len(LOOKS)))


@pytest.mark.parametrize("meaning", sorted(set(SYNONYMS.values())))
def test_a_synonym_leads_to_known_words(meaning: str) -> None:
    look, *moods = [part.strip() for part in meaning.split(",")]
    assert look in {item.prompt for item in LOOKS}
    assert set(moods) <= set(MOODS)


def test_the_tokenizer_is_made_the_same_way_twice(tmp_path) -> None:
    first, second = (build_tokenizer(tmp_path / name, merges=60) for name in "ab")
    text = "oil painting of a cat, warm, ünïcode"
    assert first(text).input_ids == second(text).input_ids
    assert len(first(text, padding="max_length", truncation=True).input_ids) == 32


def test_what_ships_says_what_the_recipe_says() -> None:
    shipped = json.loads((MODEL / "vitascope.json").read_text(encoding="utf-8"))
    ids = [item["id"] for item in shipped["looks"]]
    assert shipped == json.loads(json.dumps(settings(ids)))
    assert len(ids) >= 13
    assert shipped["strengths"] == STRENGTHS
