"""The fixture's sentences can be spelt, its sounds are heard in rooms and noise, and errors are counted."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from training.asr import data, voices
from training.asr.evaluate import errors
from training.asr.voices import RATE_HZ, Speaker
from training.asr.words import LETTERS, PATTERNS, WORDS, letters_of, sentence


def test_sentences_are_made_of_the_words_and_every_pattern_can_be_spelt() -> None:
    said = {sentence(np.random.default_rng(k)) for k in range(400)}
    assert len(said) > 300
    assert {word for text in said for word in text.split()} <= set(WORDS)
    assert "".join(LETTERS[one] for one in letters_of("undo it")) == "undo it"
    known = {*WORDS, "look", "number", "color", "thing", "knob", "part"}
    assert {word.strip("{}") for pattern in PATTERNS for word in pattern.split()} <= known


def test_what_a_voice_gives_is_read_at_16_khz(monkeypatch: pytest.MonkeyPatch) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", ""))
        file.writeframes((tone * 20_000).astype("<i2").tobytes())
    commands = []

    def run(command: list[str], **how: object) -> object:
        commands.append(command)
        return type("Done", (), {"stdout": content.getvalue()})()

    monkeypatch.setattr(voices.subprocess, "run", run)
    sound = Speaker("en-us+f5", 1.2, 0.9).say("hello")
    assert len(sound) == RATE_HZ
    assert np.abs(np.fft.rfft(sound)).argmax() == 440
    Speaker("slt", 1.25).say("hello")
    assert commands[0][:5] == ["espeak-ng", "-v", "en-us+f5", "-s", "198"]
    assert "duration_stretch=0.800" in commands[1]


def test_a_sound_is_heard_another_way_each_time_and_comes_whole() -> None:
    clean = np.zeros(RATE_HZ, np.int16)
    clean[4000:12_000] = (8000 * np.sin(np.arange(8000) / 5)).astype(np.int16)
    ways = [data.heard(clean, np.random.default_rng(k)) for k in range(12)]
    assert len({len(one) for one in ways}) > 6
    assert all(len(one) >= RATE_HZ + 0.35 * RATE_HZ for one in ways)
    assert all(np.isfinite(one).all() and np.abs(one).max() < 2 for one in ways)
    assert np.array_equal(data.heard(clean, np.random.default_rng(3)), ways[3])
    assert len(data.trimmed(clean.astype(np.float32))) == pytest.approx(9200, abs=20)


def test_masks_hide_little_and_words_that_are_wrong_are_counted() -> None:
    rows = np.zeros((4, 200, 80), np.float32)
    data.masked(rows, np.random.default_rng(0))
    assert 0 < (rows != 0).mean() < 0.45
    assert errors(["a", "b", "c"], ["a", "c"]) == 1
    assert errors(["a", "b", "c"], ["x", "a", "b", "b"]) == 2
    assert errors([], ["x", "y"]) == 2
