"""Speech with its steady noise turned down, for a second hearing: Ephraim and Malah's gain (1984).

What the noise is, is seen in the quietest parts of the utterance itself: nothing is remembered of a stream.
The gain never falls far: what is turned down further sounds like other phones.
"""

from __future__ import annotations

import numpy as np

from perception.asr.intake import Samples

WINDOW, HOP = 512, 128
QUIETEST = 0.15
"""Share of the frames of a band that are taken for noise alone."""
MARGIN = 1.1
LEAST_GAIN = 0.3
KEPT = 0.92
"""How much the frame before counts in the ratio of speech to noise."""
_FRAMES, _BANDS = 9, 5


def cleaned(samples: Samples) -> Samples:
    """Return (n,) samples with less noise, as many as there were."""
    shape = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, (WINDOW, WINDOW + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectra = np.fft.rfft(frames * shape)
    power = np.abs(spectra) ** 2
    noise = np.quantile(_smooth(power, _FRAMES), QUIETEST, axis=0) * MARGIN
    noise = np.maximum(_smooth(noise[:, None], _BANDS)[:, 0], 1e-10)
    ratio = np.maximum(power / noise - 1.0, 0.0)
    before = np.zeros(power.shape[1])
    for at in range(len(power)):
        prior = KEPT * before + (1.0 - KEPT) * ratio[at]
        gain = np.maximum(prior / (1.0 + prior), LEAST_GAIN)
        before = gain**2 * power[at] / noise
        spectra[at] *= gain
    pieces = np.fft.irfft(spectra) * shape
    out = np.zeros(len(padded) + WINDOW)
    weight = np.zeros(len(out))
    for at, piece in enumerate(pieces):
        out[at * HOP : at * HOP + WINDOW] += piece
        weight[at * HOP : at * HOP + WINDOW] += shape**2
    return (out / np.maximum(weight, 1e-3))[WINDOW : WINDOW + len(samples)].astype(np.float32)


def slowed(samples: Samples, speed: float = 0.93) -> Samples:
    """Return samples at another speed, and so of another pitch; (n,) becomes about (n / speed,)."""
    places = np.arange(int(len(samples) / speed)) * speed
    return np.asarray(np.interp(places, np.arange(len(samples)), samples), np.float32)


def _smooth(values: np.ndarray, count: int) -> np.ndarray:
    """Return the mean of `count` neighbours along the first axis; at the ends those that there are repeat."""
    padded = np.pad(values, ((count // 2 + 1, count // 2), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0)
    return np.asarray((sums[count:] - sums[:-count]) / count)
