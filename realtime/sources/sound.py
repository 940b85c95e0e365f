"""Sound of a file on its way to 48 kHz mono, held back until its pictures are due.

Files store sound up to a second ahead of the pictures it belongs to, so what was decoded waits here.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from realtime.core.clock import NS_PER_S, Clock
from realtime.core.frame import SOUND_RATE_HZ, AudioChunk, Stamp
from realtime.media import from_s16, rate_of

_HELD_S = 30
"""At most this much waits; a file that stores more ahead gets the oldest of it early."""
_GAP = SOUND_RATE_HZ // 20
"""Where the file's own time differs by more than these samples (50 ms), there is a gap: follow the file."""


class FileSound:
    """Resample, stamp (`pts` counts samples, without drift) and hold the sound of a file."""

    def __init__(self, source: str, clock: Clock) -> None:
        self._source = source
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
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SOUND_RATE_HZ)

    def take(self, frame: av.AudioFrame) -> None:
        """Take decoded sound of any rate and layout."""
        if frame.pts is not None and frame.time_base is not None:
            due = round((frame.pts * rate_of(frame.time_base) + self._offset_s) * SOUND_RATE_HZ)
            if self._next is None or abs(due - self._next) > _GAP:
                self._next = due
        self._hold(self._resampler.resample(frame))

    def due(self, until_s: float | None, due_ns: Callable[[int], int] | None = None) -> Iterator[AudioChunk]:
        """Give what begins by media time `until_s` (None: all of it).

        `due_ns` tells the clock time of a media time, in ns: that of a picture beside it. Without it sound is
        stamped with the time of now.
        """
        while self._held:
            begins_s = self._held[0][0] / SOUND_RATE_HZ
            if until_s is not None and begins_s > until_s and self._held_samples < _HELD_S * SOUND_RATE_HZ:
                return
            pts, samples = self._held.popleft()
            self._held_samples -= len(samples)
            now_ns = self._clock.now_ns()
            captured_ns = now_ns if due_ns is None else due_ns(pts * NS_PER_S // SOUND_RATE_HZ)
            stamp = Stamp(self._source, next(self._numbers), pts, Fraction(1, SOUND_RATE_HZ), captured_ns)
            yield AudioChunk(stamp, samples, SOUND_RATE_HZ)

    def rest(self, due_ns: Callable[[int], int] | None = None) -> Iterator[AudioChunk]:
        """Give all that is held, also by the resampler; `due_ns` as for `due`."""
        self._hold(self._resampler.resample(None))
        return self.due(None, due_ns)

    def _hold(self, pieces: list[av.AudioFrame]) -> None:
        for piece in pieces:
            samples = from_s16(piece)
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
