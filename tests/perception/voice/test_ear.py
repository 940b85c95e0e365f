"""The real network hears a real command, and does not take other speech for one. Needs hama and flite."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from perception.voice.book import Book, Field, Wording
from perception.voice.ear import Ear
from perception.voice.phones import PhoneNet, is_here
from perception.voice.wishes import Paint, Put

needs_voice = pytest.mark.skipif(
    not is_here() or shutil.which("flite") is None, reason="needs the packages hama and flite"
)


def said(text: str, folder: Path) -> np.ndarray:
    import av

    path = folder / "said.wav"
    subprocess.run(["flite", "-voice", "awb", "-t", text, "-o", str(path)], check=True)
    swr = av.AudioResampler("flt", "mono", 16_000)
    with av.open(str(path)) as file:
        frames = [piece for frame in file.decode(audio=0) for piece in swr.resample(frame)]
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    silence = np.zeros(8000, np.float32)
    return np.concatenate([silence, sound, silence])


@needs_voice
def test_a_command_is_understood_and_other_speech_is_not(tmp_path: Path) -> None:
    book = Book(
        (Field("strength", ("strength",), "number"), Field("labels", ("labels",), "switch")),
        (Wording("watercolor", look="watercolor"), Wording("pencil sketch", look="pencil")),
        (Wording("warm", mood="warm"),),
        (Wording("at night", mood="dark"),),
    )
    ear = Ear(book, "hey vitascope", PhoneNet())
    look = ear.understand(said("make it a watercolor at night", tmp_path))
    number = ear.understand(
        said("hey vitascope, set the strength to zero point seven", tmp_path), needs_wake=True
    )
    other = ear.understand(said("the weather was nice and we went out for a walk", tmp_path))
    assert look is not None
    assert (look.wish, look.confidence > 0.8) == (Paint("watercolor", "dark"), True)
    assert number is not None
    assert (number.wish, number.confidence > 0.8) == (Put("strength", 0.7), True)
    assert other is None or other.confidence < 0.2
