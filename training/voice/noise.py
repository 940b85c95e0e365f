"""Speech as it is and in noise: white, pink and all between, hum-like and swelling, at many levels."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from perception.voice.clean import cleaned

from training.voice.speech import RATE_HZ

LENGTH = 44_800
LEAST_HZ = 40.0
CLEAN_DB = 50.0
OF_PEOPLE, TURNED_DOWN = 0.2, 0.4
"""Shares of what is taken from people, and of what is heard with its noise turned down, as the ear does."""
_HZ = np.fft.rfftfreq(LENGTH, 1.0 / RATE_HZ)


class Pairs:
    """Draw pairs of the same speech, clean and in noise; (LENGTH,) float32 each."""

    def __init__(self, synthetic: Sequence[np.ndarray], people: Sequence[np.ndarray], seed: int = 7) -> None:
        self._synthetic, self._people = synthetic, people
        self._random, self._numbers = Random(seed), np.random.default_rng(seed)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        random = self._random
        of_people = self._people and random.random() < OF_PEOPLE
        sound = random.choice(self._people if of_people else self._synthetic)
        if random.random() < 0.5:  # another microphone
            sound = np.convolve(sound, [1.0, random.uniform(-0.6, 0.6)])[: len(sound)]
            sound = sound / np.abs(sound).max()
        sound = sound * random.choice((1.0, random.uniform(0.1, 1.0)))
        speech = np.zeros(LENGTH, np.float32)
        at = random.randrange(abs(LENGTH - len(sound)) + 1)
        if len(sound) > LENGTH:
            speech[:] = sound[at : at + LENGTH]
        else:
            speech[at : at + len(sound)] = sound
        power = float(np.mean(speech[np.abs(speech) > 0.01 * np.abs(speech).max()] ** 2))
        below_db = random.choice((random.uniform(5, 13), random.uniform(5, 13), random.uniform(3, 25), random.uniform(15, 40)))
        noisy = self._with_noise(speech, power, below_db)
        clean = self._with_noise(speech, power, CLEAN_DB)
        return clean, cleaned(noisy) if random.random() < TURNED_DOWN else noisy

    def _with_noise(self, speech: np.ndarray, power: float, below_db: float) -> np.ndarray:
        return np.asarray(speech + self._noise() * np.sqrt(power / 10 ** (below_db / 10)), np.float32)

    def _noise(self) -> np.ndarray:
        """Return noise of power 1, its power falling with f to the 0 (white) to 2.2, 1 being pink."""
        random = self._random
        slope = random.choice((0.0, 1.0, random.uniform(0.0, 2.2)))
        spectrum = np.fft.rfft(self._numbers.standard_normal(LENGTH))
        spectrum *= (_HZ > LEAST_HZ) / np.maximum(_HZ, LEAST_HZ) ** (slope / 2)
        if random.random() < 0.15:
            center_hz, width_hz = random.uniform(200, 6000), random.uniform(100, 1500)
            spectrum *= 1 + 6 * np.exp(-(((_HZ - center_hz) / width_hz) ** 2))
        noise = np.fft.irfft(spectrum, LENGTH)
        if random.random() < 0.15:
            noise *= 1 + 0.5 * np.sin(2 * np.pi * random.uniform(0.3, 4) * np.arange(LENGTH) / RATE_HZ)
        return np.asarray(noise / np.sqrt(np.mean(noise**2)))
