"""The recognisers that are installed here understand a human voice, through the whole stage."""

from __future__ import annotations

import importlib.util
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from perception.asr.config import HearConfig
from perception.asr.recognizers import choose
from perception.asr.stage import HearStage
from perception.asr.vad import silero_file
from realtime.core.frame import AudioChunk, Stamp
from realtime.core.stage import StageContext

RATE = 48_000
pytestmark = pytest.mark.skipif(silero_file() is None, reason="needs silero-vad")


def spoken() -> np.ndarray:
    """Return "Ever tried" and a silence, at 48 kHz."""
    spec = importlib.util.find_spec("moonshine_voice")
    path = Path(spec.origin or "").parent / "assets" / "beckett.wav" if spec else Path()
    if not path.is_file():
        pytest.skip("needs the recording in moonshine-voice")
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(16_000 * 8 // 5), np.int16).astype(np.float32) / 32768
    return np.interp(np.arange(len(sound) * 3 + RATE) / 3, np.arange(len(sound)), sound, right=0.0)


def chunks(sound: np.ndarray, size: int = 960) -> Iterator[AudioChunk]:
    for k, at in enumerate(range(0, len(sound), size)):
        stamp = Stamp("mic", k, at, Fraction(1, RATE), 0)
        yield AudioChunk(stamp, sound[at : at + size].astype(np.float32), RATE)


@pytest.mark.parametrize("engine", ["moonshine", pytest.param("whisper", marks=pytest.mark.nightly)])
def test_it_understands_a_sentence(engine: str) -> None:
    if not choose.is_here(engine):
        pytest.skip(f"{engine} is not installed")
    stage = HearStage()
    stage.configure(HearConfig(engine=engine, finals="same"))
    stage.open(StageContext())
    found = [one.value for chunk in chunks(spoken()) for one in stage.process(chunk)]
    words = "".join(letter for letter in found[-1].text.lower() if letter.isalpha() or letter == " ")
    assert found[-1].is_final
    assert {"ever", "tried"} <= set(words.split())
    stage.close()
