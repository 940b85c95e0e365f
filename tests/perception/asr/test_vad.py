"""Speech is told from what is none."""

from __future__ import annotations

import importlib.util
import wave
from pathlib import Path

import numpy as np
import pytest

from perception.asr.intake import WINDOW
from perception.asr.vad import LoudnessVad, SileroVad, load_vad, silero_file

NOISE = np.random.default_rng(0)
HUM = 0.1 * np.sin(2 * np.pi * 50 * np.arange(48_000) / 16_000)
needs_silero = pytest.mark.skipif(silero_file() is None, reason="needs silero-vad")


def spoken() -> np.ndarray:
    """Return 10 s of speech that comes with moonshine-voice, nearly half of it speech."""
    spec = importlib.util.find_spec("moonshine_voice")
    path = Path(spec.origin or "").parent / "assets" / "beckett.wav" if spec else Path()
    if not path.is_file():
        pytest.skip("needs the recording in moonshine-voice")
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        return np.frombuffer(file.readframes(-1), np.int16) / 32768


def probabilities(vad: LoudnessVad | SileroVad, sound: np.ndarray) -> np.ndarray:
    sound = sound.astype(np.float32)
    return np.array([vad.probability(sound[a : a + WINDOW]) for a in range(0, len(sound) - WINDOW, WINDOW)])


@needs_silero
def test_silero_hears_a_voice_and_neither_silence_nor_hum_nor_hiss() -> None:
    vad = load_vad()
    assert isinstance(vad, SileroVad)
    assert (probabilities(vad, spoken()) > 0.5).mean() > 0.4
    for sound in (np.zeros(48_000), HUM, NOISE.normal(0, 0.05, 48_000)):
        vad.reset()
        assert probabilities(vad, sound).max() < 0.35


@needs_silero
def test_two_streams_on_one_net_do_not_mix() -> None:
    made: dict[str, object] = {}
    one, other = (load_vad(lambda key, make: made.setdefault(key, make())) for _ in range(2))
    sound = spoken()[:48_000].astype(np.float32)
    alone = probabilities(load_vad(), sound)
    mixed = []
    for a in range(0, len(sound) - WINDOW, WINDOW):
        mixed.append(one.probability(sound[a : a + WINDOW]))
        other.probability(np.float32(NOISE.normal(0, 0.05, WINDOW)))
    assert len(made) in (0, 1)
    assert np.allclose(alone, mixed, atol=1e-6)


def test_loudness_hears_what_is_louder_than_the_room() -> None:
    room = NOISE.normal(0, 0.003, 48_000)
    vad = LoudnessVad()
    assert probabilities(vad, room)[5:].max() < 0.5
    assert probabilities(vad, room + spoken()[: len(room)]).max() > 0.9


def test_without_the_package_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perception.asr.vad.silero_file", lambda: None)
    told: list[str] = []
    assert load_vad(report=told.append).name == "loudness"
    assert "pip install silero-vad" in told[0]
