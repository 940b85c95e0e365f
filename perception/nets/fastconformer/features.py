"""The sound of a stream as log-mel frames, exact however it was cut into packets.

NeMo's front end as transformers has it (`NemotronAsrStreamingFeatureExtractor`): pre-emphasis 0.97, Hann
window of 25 ms every 10 ms, centred with zeros, power, Slaney mel to 8 kHz, log(x + 2^-24), no
normalisation. A frame needs 16 ms of sound after its middle, 12.5 ms of which its window sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
HOP, WINDOW, FFT = 160, 400, 512
PREEMPHASIS = 0.97
GUARD = 2.0**-24
BLOCK = 8
"""Frames that are computed together: sums of floats depend on how many rows a product has."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold what a front end keeps of a stream: a value, shared freely."""

    samples: Floats
    """Pre-emphasised sound that frames to come will want; begins FFT / 2 before the next frame's middle."""
    last: float = 0.0
    """The newest sample as it came."""
    frames: int = 0
    """The number of the next frame; below 0 for those before the stream's first, which nobody is given."""
    total: int = 0
    """How many samples were heard."""


class LogMel:
    """Turn sound into log-mel frames (n, mels). Holds no stream: what was heard goes in and comes out.

    Blocks end with the frames 0, `block`, 2 `block` ...: with those that a chunk of the network ends with, if
    it makes one frame of `block`. Nothing waits for sound that the chunk does not need.
    """

    def __init__(self, mels: int, block: int = BLOCK) -> None:
        self._filters_KM = filters(mels)
        self._window = np.zeros(FFT, np.float32)
        begin = (FFT - WINDOW) // 2
        self._window[begin : begin + WINDOW] = np.hanning(WINDOW)
        self.mels, self.block = mels, block

    def begin(self) -> Heard:
        """Return what was heard of a stream that has not begun."""
        before = self.block - 1
        return Heard(np.zeros(FFT // 2 + before * HOP, np.float32), frames=-before)

    def push(self, heard: Heard, samples: Floats) -> tuple[Heard, Floats]:
        """Take the next sound; return the frames of blocks that are complete."""
        heard = _joined(heard, samples)
        count = max((len(heard.samples) - FFT) // HOP + 1, 0) // self.block * self.block
        return self._made(heard, count)

    def end(self, heard: Heard) -> Floats:
        """Return the frames that remain when no sound follows: floor(samples / HOP) in all."""
        count = heard.total // HOP - heard.frames
        if count <= 0:
            return np.zeros((0, self.mels), np.float32)
        whole = -(-count // self.block) * self.block
        want = (whole - 1) * HOP + FFT
        padded = np.pad(heard.samples, (0, max(want - len(heard.samples), 0)))
        filled = Heard(padded, heard.last, heard.frames, heard.total)
        return self._made(filled, whole)[1][: heard.total // HOP - max(heard.frames, 0)]

    def whole(self, samples: Floats) -> Floats:
        """Return all frames of a recording."""
        heard, frames = self.push(self.begin(), samples)
        return np.concatenate([frames, self.end(heard)])

    def _made(self, heard: Heard, count: int) -> tuple[Heard, Floats]:
        found = [self._block(heard.samples, at * HOP) for at in range(0, count, self.block)]
        rest = Heard(heard.samples[count * HOP :], heard.last, heard.frames + count, heard.total)
        made = np.concatenate(found) if found else np.zeros((0, self.mels), np.float32)
        return rest, made[max(-heard.frames, 0) :]

    def _block(self, samples: Floats, begin: int) -> Floats:
        piece = samples[begin : begin + (self.block - 1) * HOP + FFT]
        rows = np.lib.stride_tricks.sliding_window_view(piece, FFT)[::HOP]
        spectrum = np.fft.rfft(rows * self._window)  # complex64
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        logged: Floats = np.log(power @ self._filters_KM + np.float32(GUARD))
        return logged


def _joined(heard: Heard, samples: Floats) -> Heard:
    samples = np.asarray(samples, np.float32)
    if not len(samples):
        return heard
    before = np.concatenate([np.full(1, heard.last, np.float32), samples[:-1]])
    sharp = samples - np.float32(PREEMPHASIS) * before  # the very first has silence before it
    return Heard(
        np.concatenate([heard.samples, sharp]), float(samples[-1]), heard.frames, heard.total + len(samples)
    )


@cache
def filters(mels: int) -> Floats:
    """Return the mel filters (FFT / 2 + 1, mels): Slaney's scale and norm, 0 to 8 kHz."""
    from transformers.audio_utils import mel_filter_bank

    made = mel_filter_bank(
        num_frequency_bins=FFT // 2 + 1,
        num_mel_filters=mels,
        min_frequency=0.0,
        max_frequency=RATE_HZ / 2,
        sampling_rate=RATE_HZ,
        norm="slaney",
        mel_scale="slaney",
        dtype=np.float32,
    )
    return np.ascontiguousarray(made, np.float32)
