"""The best way through a grammar's phones, on made log probabilities: no network, no sound."""

from __future__ import annotations

import numpy as np
import pytest

from perception.voice.network import Network
from perception.voice.rules import Rule, either, maybe, seq, word_for, words

PHONES = "_abcdefghijklmnop"
FLOOR = -6.0


def sounds(word: str) -> list[tuple[int, ...]]:
    return [tuple(PHONES.index(letter) for letter in word)]


def scores(text: str, sure: float = 0.97) -> np.ndarray:
    """Return frames in which each letter was heard for sure; "_" is blank."""
    rest = (1.0 - sure) / (len(PHONES) - 1)
    rows = np.full((len(text), len(PHONES)), np.log(rest), np.float32)
    for at, letter in enumerate(text):
        rows[at, PHONES.index(letter)] = np.log(sure)
    return np.maximum(rows, FLOOR)


@pytest.fixture
def rule() -> Rule:
    return seq("make", maybe(either("a", "an")), either("deal", "diamond", word_for("pond", 1), "deep end"))


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ("__mm_a_kke__dde_al__", "make deal"),
        ("makeapondd", "make a pond"),
        ("make__an_dee_p__end", "make an deep end"),
        ("makede_epend", "make deep end"),
        ("makediamon_", "make diamond"),  # the last phone was swallowed
        ("mekebeal", "make deal"),
    ],
)
def test_the_nearest_sentence_is_found(rule: Rule, heard: str, text: str) -> None:
    found = Network(rule, sounds).hear(scores(heard), 0)
    assert found is not None
    assert found.text == text


def test_a_doubled_phone_needs_a_blank_between() -> None:
    network = Network(either("deep", "dep"), sounds)
    for heard, text in (("ddee_epp", "deep"), ("ddeeeepp", "dep")):
        found = network.hear(scores(heard), 0)
        assert found is not None
        assert found.text == text


def test_it_agrees_with_every_alignment_tried_one_by_one() -> None:
    """The best score over all ways to spread a word's phones over the frames, by brute force."""
    from itertools import product

    random = np.random.default_rng(3)
    network = Network(words("cab"), sounds)
    for _ in range(20):
        rows = random.normal(size=(6, len(PHONES))).astype(np.float32)
        rows -= np.logaddexp.reduce(rows, axis=1, keepdims=True)
        best = max(
            sum(float(rows[t, PHONES.index(one)]) for t, one in enumerate(way))
            for way in map("".join, product("_cab", repeat=6))
            if _collapsed(way) == "cab"
        )
        found = network.hear(rows, 0)
        assert found is not None
        assert found.behind * 3 == pytest.approx(float(rows.max(axis=1).sum()) - best, abs=1e-3)


def _collapsed(way: str) -> str:
    kept = [one for at, one in enumerate(way) if at == 0 or way[at - 1] != one]
    return "".join(one for one in kept if one != "_")


def test_what_was_said_falls_behind_by_nothing_and_other_speech_by_much(rule: Rule) -> None:
    network = Network(rule, sounds)
    said, other = network.hear(scores("makediamond"), 0), network.hear(scores("hofnigbocklefingo"), 0)
    assert said is not None
    assert other is not None
    assert said.behind < 0.05
    assert said.worst < 0.05
    assert other.behind > 3
    assert other.worst >= other.behind


def test_a_wrong_word_in_a_right_sentence_is_the_worst(rule: Rule) -> None:
    found = Network(rule, sounds).hear(scores("make_an_fogplohk"), 0)
    assert found is not None
    make, *_, last = found.words
    assert make.text == "make"
    assert make.behind < 0.1
    assert found.worst == pytest.approx(last.behind)
    assert last.begin >= make.end


def test_sound_too_short_for_any_sentence_is_none(rule: Rule) -> None:
    assert Network(rule, sounds).hear(scores("mak"), 0) is None
