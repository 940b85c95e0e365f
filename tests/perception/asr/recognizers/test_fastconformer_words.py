"""The whole way of streamed speech, from packets of sound to words with times, on weights that were trained.

The sentences are said by flite; `training/asr/samples.py` wrote them, and the network's card says what it is.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.asr.recognizers.fastconformer import FastConformerRecognizer, load_fastconformer

SAID = Path(__file__).with_name("said")
TEXTS: dict[str, str] = json.loads((SAID / "said.json").read_text(encoding="utf-8"))
PACKET = 320


@pytest.fixture(scope="module")
def make() -> Callable[[int], FastConformerRecognizer]:
    held: dict[str, Any] = {}

    def shared(name: str, build: Callable[[], Any]) -> Any:
        if name not in held:
            held[name] = build()
        return held[name]

    return lambda lookahead: load_fastconformer(
        "fastconformer-words", shared, lookahead=lookahead, engine="torch", precision="fp32"
    )


def sound(name: str) -> np.ndarray:
    with wave.open(str(SAID / name), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def heard(recognizer: FastConformerRecognizer, samples: np.ndarray) -> list[str]:
    texts = []
    for at in range(0, len(samples), PACKET):
        recognizer.accept(samples[at : at + PACKET])
        texts.append(recognizer.partial().text)
    return texts


@pytest.mark.parametrize("lookahead", [13, 1])
def test_what_was_said_is_written_down_while_it_is_said(
    make: Callable[[int], FastConformerRecognizer], lookahead: int
) -> None:
    recognizer = make(lookahead)
    for name, text in TEXTS.items():
        samples = sound(name)
        texts = heard(recognizer, samples)
        final = recognizer.finish()
        assert final.text == text
        assert all(new.startswith(old) for old, new in zip(texts, [*texts[1:], final.text], strict=True))
        first = next(at for at, one in enumerate(texts) if one) * PACKET / 16_000
        assert first < len(samples) / 16_000 / 2 + recognizer.delay_s  # words come while it is said
        begins = [word.begin_s for word in final.words]
        assert begins == sorted(begins)
        assert 0.1 < begins[0] < final.words[-1].end_s < len(samples) / 16_000 - 0.2
        assert final.confidence is not None
        assert final.confidence > 0.5
        recognizer.reset()


def test_the_same_words_again_after_an_end_are_heard_again(
    make: Callable[[int], FastConformerRecognizer],
) -> None:
    """The first utterance ends in its closing silence, within a chunk; nothing is lost or said twice."""
    recognizer, (name, text) = make(13), next(iter(TEXTS.items()))
    samples = sound(name)
    twice = np.concatenate([samples, samples])
    heard(recognizer, twice)
    wanted = recognizer.finish().text.replace(" ", "")
    recognizer.reset()
    heard(recognizer, twice[: len(samples) - 1600])
    first = recognizer.finish().text
    heard(recognizer, twice[len(samples) - 1600 :])
    second = recognizer.finish().text
    assert first == text
    assert (first + second).replace(" ", "") == wanted
    assert second.split()[0] == text.split()[0]


def test_silence_and_noise_say_nothing(make: Callable[[int], FastConformerRecognizer]) -> None:
    recognizer = make(13)
    draw = np.random.default_rng(0)
    for samples in (np.zeros(48_000), 1e-3 * draw.normal(size=48_000)):
        heard(recognizer, samples.astype(np.float32))
        assert recognizer.finish().text == ""
        recognizer.reset()
