"""Utterances to learn from: said once, heard each time in another room, at another level, in other noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from perception.nets.fastconformer.features import LogMel
from scipy.signal import butter, fftconvolve, sosfilt

from training.asr.voices import RATE_HZ, speaker
from training.asr.words import letters_of, sentence

SHIFT, SCALE = 12.0, 0.3
"""What makes log-mel of speech roughly 0 +- 1."""
LONGEST_S = 4.0
Sound = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Utterance:
    text: str
    sound: npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Batch:
    mel_BTM: torch.Tensor
    texts: tuple[str, ...]

    @property
    def targets(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all letters in a row, and how many each text has."""
        rows = [letters_of(text) for text in self.texts]
        return torch.tensor([one for row in rows for one in row]), torch.tensor([len(row) for row in rows])


class Pool:
    """Hold utterances by number, said when first asked for; each number gives the same one on any day."""

    def __init__(self, seed: int) -> None:
        self.seed, self._said = seed, {}

    def __getitem__(self, number: int) -> Utterance:
        if number not in self._said:
            self._said[number] = self._say(number)
        return self._said[number]

    def _say(self, number: int) -> Utterance:
        for again in range(100):
            draw = np.random.default_rng([self.seed, number, again])
            text = sentence(draw)
            sound = trimmed(speaker(draw).say(text))
            if 0.15 * RATE_HZ < len(sound) < LONGEST_S * RATE_HZ and len(sound) / RATE_HZ > 0.045 * len(text):
                return Utterance(text, np.round(sound * 32767).clip(-32768, 32767).astype(np.int16))
        raise RuntimeError(f"No sound for utterance {number}.")


def trimmed(sound: Sound) -> Sound:
    """Return the sound without the silence around it, its peak at 0.5."""
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max(initial=1e-6))
    sound = sound[max(loud[0] - 400, 0) : loud[-1] + 800] if len(loud) else sound
    return (0.5 * sound / max(float(np.abs(sound).max(initial=0)), 1e-4)).astype(np.float32)


def heard(sound: npt.NDArray[np.int16], draw: np.random.Generator) -> Sound:
    """Return how it might arrive: with silence around it, in a room, through a cheap microphone, in noise."""
    clean = sound.astype(np.float32) / 32768
    clean = np.pad(clean, (int(draw.uniform(0.05, 0.5) * RATE_HZ), int(draw.uniform(0.3, 0.6) * RATE_HZ)))
    if draw.random() < 0.3:
        length = int(draw.uniform(0.05, 0.3) * RATE_HZ)
        tail = draw.normal(size=length) * np.exp(-np.arange(length) * (5.0 / length))
        tail *= draw.uniform(0.1, 0.5) / np.linalg.norm(tail)
        tail[0] = 1.0
        clean = fftconvolve(clean, tail)[: len(clean)]
    if draw.random() < 0.25:
        band = (float(draw.uniform(80, 300)), float(draw.uniform(3000, 6500)))
        clean = sosfilt(butter(2, band, "bandpass", fs=RATE_HZ, output="sos"), clean)
    clean = clean * 10 ** (draw.uniform(-14, 2) / 20)
    noise = draw.normal(size=len(clean))
    if draw.random() < 0.5:
        noise = np.cumsum(noise - 0.02 * np.convolve(noise, np.ones(50), "same"))
        noise -= noise.mean()
    level = np.std(clean) * 10 ** (-draw.uniform(10, 45) / 20) / max(float(np.std(noise)), 1e-9)
    return (clean + level * noise).astype(np.float32)


class Batches:
    """Draw batches by step, so that a resumed run goes on where it was."""

    def __init__(self, mels: int, seed: int = 1, most: int = 4000, rows: int = 16) -> None:
        self._mel, self._pool, self._most, self._rows = LogMel(mels), Pool(seed), most, rows

    def draw(self, step: int) -> Batch:
        """Return utterances of about one length; there are more of them to choose from as training goes on."""
        draw = np.random.default_rng([7, step])
        known = min(400 + 3 * step, self._most)
        chosen = sorted((self._pool[int(k)] for k in draw.integers(known, size=3 * self._rows)), key=lambda one: len(one.sound))
        begin = int(draw.integers(2 * self._rows + 1))
        chosen = chosen[begin : begin + self._rows]
        sounds = [heard(one.sound, draw) for one in chosen]
        return Batch(torch.from_numpy(masked(mels_of(self._mel, sounds), draw)), tuple(one.text for one in chosen))


def mels_of(mel: LogMel, sounds: list[Sound]) -> npt.NDArray[np.float32]:
    """Return log-mel (B, T, mels); short ones go on with their own faint last noise, as a stream would."""
    length = max(len(one) for one in sounds)
    return np.stack([mel.whole(np.concatenate([one, np.resize(one[-1600:], length - len(one))])) for one in sounds])


def masked(mel_BTM: npt.NDArray[np.float32], draw: np.random.Generator) -> npt.NDArray[np.float32]:
    """Hide a few bands and moments of each row (SpecAugment, arXiv:1904.08779)."""
    mean = -SHIFT
    for row in mel_BTM:
        for _ in range(2):
            wide, high = int(draw.integers(1, 10)), int(draw.integers(1, 12))
            at = int(draw.integers(max(row.shape[0] - wide, 1)))
            row[at : at + wide] = mean
            at = int(draw.integers(row.shape[1] - high))
            row[:, at : at + high] = mean
    return mel_BTM
