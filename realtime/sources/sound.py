"""Sound of a file on its way to 16 kHz mono, held back until its pictures are due.

Files store sound up to a second ahead of the pictures it belongs to, so what was decoded waits here.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from realtime.core.clock import Clock
from realtime.core.frame import SPEECH_RATE_HZ, AudioChunk, Stamp
from realtime.media import rate_of

_HELD_S = 30
"""At most this much waits; a file that stores more ahead gets the oldest of it early."""
_GAP_S = 0.05
"""Where the file's own time differs by more than this, there is a gap: follow the file."""


class FileSound:
    """Resample, stamp (`pts` counts samples, without drift) and hold the sound of a file."""

    def __init__(self, source: str, clock: Clock, rate_hz: int = SPEECH_RATE_HZ) -> None:
        self._source = source
        self._rate_hz = rate_hz
        self._clock = clock
        self._numbers = itertools.count()
        self._end = 0
        """Nothing begins before this: where the file's own times overlap, the later sound is cut."""
        self._held: deque[tuple[int, npt.NDArray[np.float32]]] = deque()
        self._held_samples = 0
        self._seen = False
        self.begin(Fraction(0))

    def begin(self, offset_s: Fraction) -> None:
        """Begin a run through the file whose time 0 is `offset_s`."""
        self._offset_s = offset_s
        self._next: int | None = None
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=self._rate_hz)

    def take(self, frame: av.AudioFrame) -> None:
        """Take decoded sound of any rate and layout."""
        if frame.pts is not None and frame.time_base is not None:
            due = round((frame.pts * rate_of(frame.time_base) + self._offset_s) * self._rate_hz)
            if self._next is None or abs(due - self._next) > _GAP_S * self._rate_hz:
                self._next = due
        self._hold(self._resampler.resample(frame))

    def due(self, until_s: float | None) -> Iterator[AudioChunk]:
        """Give what begins by media time `until_s` (None: all of it)."""
        while self._held:
            begins_s = self._held[0][0] / self._rate_hz
            if until_s is not None and begins_s > until_s and self._held_samples < _HELD_S * self._rate_hz:
                return
            pts, samples = self._held.popleft()
            self._held_samples -= len(samples)
            stamp = Stamp(
                self._source, next(self._numbers), pts, Fraction(1, self._rate_hz), self._clock.now_ns()
            )
            yield AudioChunk(stamp, samples, self._rate_hz)

    def rest(self) -> Iterator[AudioChunk]:
        """Give all that is held, also by the resampler."""
        self._hold(self._resampler.resample(None))
        return self.due(None)

    def _hold(self, pieces: list[av.AudioFrame]) -> None:
        for piece in pieces:
            samples = np.ascontiguousarray(piece.to_ndarray()[0], np.float32)
            pts = self._next or 0
            self._next = pts + len(samples)
            if self._seen and pts < self._end:
                samples = samples[self._end - pts :]
                pts = self._end
            if not len(samples):
                continue
            self._end, self._seen = self._next, True
            self._held.append((pts, samples))
            self._held_samples += len(samples)
