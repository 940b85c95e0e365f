"""A guess spares work and changes no word, right or wrong. Needs the packaged model."""

from __future__ import annotations

import wave

import numpy as np
import pytest

from perception.asr.recognizers.moonshine import is_here
from perception.asr.recognizers.moonshine_net import TINY, Growing, MoonshineNet, package_folder

pytestmark = pytest.mark.skipif(not is_here(), reason="needs moonshine-voice")


def test_a_guess_changes_nothing_and_a_sound_may_grow_and_begin_anew() -> None:
    package = package_folder()
    assert package is not None
    with wave.open(str(package / "assets" / "beckett.wav")) as file:
        sound = np.frombuffer(file.readframes(16_000 * 8), np.int16).astype(np.float32) / np.float32(32768)
    net = MoonshineNet(package / TINY)
    tokens = net.tokens(sound)
    runs: list[int] = []
    decoder = net._decoder

    class Counted:
        def run(self, names: list[str], given: dict[str, np.ndarray]) -> object:
            runs.append(given["input_ids"].size)
            return decoder.run(names, given)

    net._decoder = Counted()
    assert net.tokens(sound, tokens) == tokens
    assert len(runs) < len(tokens) / 4
    assert net.tokens(sound, [*tokens[:-2], 3926]) == tokens
    assert net.tokens(sound, [7] * 1000) == tokens
    assert "ever tried" in net.text(tokens).lower()
    growing = Growing(net)
    runs.clear()
    said = [growing.text(sound[:length]) for length in (64_000, 128_000, 64_000)]
    assert said[0] == said[2] != said[1]
    assert said[1] == net.text(tokens)
