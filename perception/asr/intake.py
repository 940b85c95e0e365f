"""From sound as it comes in to windows of 16 kHz, cut by the count of samples and never by packet.

How a source splits its sound says nothing about what is in it, so the windows are the same for any split: the
resampler keeps its state, and what a window still lacks waits for the next chunk. What was lost on the way is
seen in the count of the stamps: a short gap becomes silence, a long one is a new beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from realtime.core.clock import NS_PER_S
from realtime.core.frame import SPEECH_RATE_HZ, AudioChunk

Samples = npt.NDArray[np.float32]
"""(n,) mono."""

WINDOW = 512
"""Samples of a window, 32 ms: what the voice detector looks at, and a 31st of a second is soon enough."""
MAX_GAP_S = 1.0
"""So much lost sound is filled with silence; more is a new beginning."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Hold 32 ms of sound at 16 kHz."""

    samples: Samples
    """(WINDOW,) in [-1, 1], read-only."""
    begin_s: float
    """When its first sample was, in the source's own time."""
    captured_ns: int
    """When the chunk that completed it came through the door."""
    is_first: bool = False
    """Whether a new stretch begins: it does not follow on the window before."""

    @property
    def end_s(self) -> float:
        return self.begin_s + WINDOW / SPEECH_RATE_HZ


class Resampler(Protocol):
    """Bring sound of one rate to 16 kHz, piece by piece; the split changes nothing."""

    def take(self, samples: Samples) -> Samples:
        """Return what can be said after these samples; a few of the newest wait for what follows them."""


def resampler(rate_hz: int) -> Resampler:
    """Return one for sound of `rate_hz`, 8 to 192 kHz or so."""
    return _Same() if rate_hz == SPEECH_RATE_HZ else _Swr(rate_hz)


class _Same:
    def take(self, samples: Samples) -> Samples:
        return samples


class _Swr:
    """FFmpeg's resampler by PyAV: a polyphase filter of 32 taps, half of them of delay, -60 dB from 9 kHz."""

    def __init__(self, rate_hz: int) -> None:
        import av

        self._rate_hz = rate_hz
        self._swr: Any = av.AudioResampler("flt", "mono", SPEECH_RATE_HZ)

    def take(self, samples: Samples) -> Samples:
        import av

        if not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], "flt", "mono")
        frame.sample_rate = self._rate_hz
        parts = [one.to_ndarray()[0] for one in self._swr.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


class Intake:
    """Turn the chunks of one stream into windows. For one thread."""

    def __init__(self, *, max_gap_s: float = MAX_GAP_S) -> None:
        self._max_gap_s = max_gap_s
        self.filled_s = 0.0
        """Seconds of lost sound that were replaced by silence so far."""
        self.lost_s = 0.0
        """Seconds of sound that came in and never got here: chunks with a number of their own are missing."""
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._source, self._rate_hz, self._next, self._seq = "", 0, 0, 0
        self._resampler: Resampler = _Same()
        self._rest = np.zeros(0, np.float32)
        self._begin_s = 0.0
        self._made = 0
        self._is_first = True

    def take(self, chunk: AudioChunk) -> Iterator[Window]:
        """Yield the windows that a chunk completes. Samples beyond [-1, 1] are clipped; NaN is silence."""
        samples = np.clip(chunk.samples, -1.0, 1.0)
        if not np.isfinite(samples.sum()):
            samples = np.nan_to_num(samples, nan=0.0)
        at = round(Fraction(chunk.stamp.pts) * chunk.stamp.time_base * chunk.sample_rate)
        gap, skipped = at - self._next, chunk.stamp.seq - self._seq - 1
        is_known = (chunk.stamp.source, chunk.sample_rate) == (self._source, self._rate_hz)
        if is_known and skipped > 0 and gap > 0:
            self.lost_s += gap / chunk.sample_rate
        if not is_known or gap < -len(samples) or gap > self._max_gap_s * chunk.sample_rate:
            self._begin(chunk, at)
        elif gap > 0:
            self.filled_s += gap / chunk.sample_rate
            samples = np.concatenate([np.zeros(gap, np.float32), samples])
        elif gap < 0:  # told twice
            samples = samples[-gap:]
        self._seq = chunk.stamp.seq
        self._next = max(at + len(chunk.samples), self._next)
        self._rest = np.concatenate([self._rest, self._resampler.take(samples)])
        yield from self._windows(chunk.stamp.captured_ns + len(chunk.samples) * NS_PER_S // chunk.sample_rate)

    def _begin(self, chunk: AudioChunk, at: int) -> None:
        self.reset()
        self._source, self._rate_hz, self._next = chunk.stamp.source, chunk.sample_rate, at
        self._resampler = resampler(chunk.sample_rate)
        self._begin_s = chunk.stamp.time_s

    def _windows(self, captured_ns: int) -> Iterator[Window]:
        while len(self._rest) >= WINDOW:
            samples, self._rest = self._rest[:WINDOW], self._rest[WINDOW:]
            samples.flags.writeable = False
            begin_s = self._begin_s + self._made / SPEECH_RATE_HZ
            yield Window(samples, begin_s, captured_ns, self._is_first)
            self._made += WINDOW
            self._is_first = False
