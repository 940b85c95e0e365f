"""The recogniser that hears each chunk once: words that only come, with times, and what may be chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.asr.recognizers.fastconformer import FastConformerRecognizer, load_fastconformer, usual
from perception.nets.fastconformer.pieces import MARK, Pieces, Token
from perception.nets.fastconformer.plans import Plan
from perception.nets.fastconformer.weights import save
from realtime.core.errors import ConfigError, ModelMissing
from tests.perception.nets.fastconformer.tiny import PLAN, sound, tiny

PIECES = Pieces([MARK + "ma", "ke", MARK + "it", "<EOU>", MARK + "a", "s", *(MARK + c for c in "tbcde")])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tiny")
    save(tiny(), PIECES, place, title="Tiny", licence="Apache-2.0")
    return place


@pytest.fixture(scope="module")
def make(folder: Path) -> Callable[..., FastConformerRecognizer]:
    """Return what makes recognisers on weights and engines that they share."""
    held: dict[str, Any] = {}

    def shared(name: str, build: Callable[[], Any]) -> Any:
        if name not in held:
            held[name] = build()
        return held[name]

    return lambda **how: load_fastconformer(str(folder), shared, **{"engine": "torch", **how})


@pytest.mark.parametrize("head", ["ctc", "rnnt"])
def test_words_only_come_and_have_times(make: Callable[..., FastConformerRecognizer], head: str) -> None:
    recognizer, samples = make(head=head, lookahead=1), sound(6.0, 3)
    texts = [""]
    for piece in np.array_split(samples, 40):
        recognizer.accept(piece)
        texts.append(recognizer.partial().text)
    final = recognizer.finish()
    assert all(new.startswith(old) for old, new in zip(texts, [*texts[1:], final.text], strict=True))
    assert len(final.words) > 3
    assert final.text == " ".join(word.text for word in final.words)
    assert all(0 <= word.begin_s < word.end_s <= 6.2 for word in final.words)
    assert all(abs(word.begin_s / 0.08 - round(word.begin_s / 0.08)) < 1e-6 for word in final.words)
    assert all(word.confidence is not None and 0 < word.confidence <= 1 for word in final.words)
    assert recognizer.partial().text == ""


def test_times_count_from_the_utterance_and_state_can_be_put_back(
    make: Callable[..., FastConformerRecognizer],
) -> None:
    recognizer, samples = make(head="ctc", lookahead=0), sound(6.0, 3)
    recognizer.accept(samples[:40_000])
    recognizer.finish()
    kept = recognizer.state
    recognizer.accept(samples[40_000:])
    final = recognizer.finish()
    assert final.words[-1].end_s <= 3.7
    recognizer.state = kept
    recognizer.accept(samples[40_000:])
    assert recognizer.finish() == final
    recognizer.reset()
    assert recognizer.state.cached.frames == 0


def test_the_lookahead_waits_for_the_end_of_the_utterance(
    make: Callable[..., FastConformerRecognizer],
) -> None:
    recognizer = make(head="ctc")
    assert recognizer.lookahead == usual(PLAN) == 6
    assert recognizer.lookaheads == (0, 1, 6, 13)
    recognizer.accept(sound(1.0))
    recognizer.look(0)
    assert recognizer.lookahead == 6
    recognizer.finish()
    assert recognizer.lookahead == 0
    assert recognizer.delay_s == pytest.approx(0.096)
    with pytest.raises(ConfigError, match="look-ahead of 4"):
        recognizer.look(4)


def test_it_says_what_it_lacks(make: Callable[..., FastConformerRecognizer], tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no model of its own"):
        load_fastconformer("", lambda name, build: build())
    with pytest.raises(ConfigError, match='no head "guess"'):
        make(head="guess")
    with pytest.raises(ModelMissing):
        load_fastconformer(str(tmp_path / "absent.nemo"), lambda name, build: build())
    with pytest.raises(ConfigError, match="look-ahead of 5"):
        make(lookahead=5)
    info = make(head="ctc").info
    assert info.is_append_only
    assert info.step_s == pytest.approx(0.56)
    assert "torch fp32" in info.name


def test_signs_between_programs_are_not_words() -> None:
    said = [Token(k, frame, 0.5) for frame, k in enumerate((0, 1, 3, 2, 4, 5))]
    assert PIECES.text(said) == "make it as"
    letters = Pieces(" ab")
    words = letters.words([Token(k, frame, 1.0) for frame, k in enumerate((1, 2, 0, 0, 1))], 0.04, 0)
    assert [(word.text, word.begin_s, word.end_s) for word in words] == [("ab", 0.0, 0.08), ("a", 0.16, 0.2)]


def test_the_usual_lookahead_keeps_chunks_short() -> None:
    assert usual(Plan()) == 6
    assert usual(Plan(factor=4)) == 13
    assert usual(Plan(lookaheads=(13,))) == 13
