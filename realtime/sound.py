"""Keep a session's sound back as long as its pictures take, so that lips and words leave together.

Painting takes time, and not always the same. Each picture that leaves tells its age; sound is released at the
median age of the newest. When that changes, the sound catches up or falls back a little at a time: at once
where it is quiet, else by joining it where it resembles itself (`splice.py`). Without pictures it goes on as
it was. Told the time, bounded, and no thread's own: its owner locks.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from statistics import median

import numpy as np

from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.frame import SOUND_RATE_HZ, AudioChunk, Stamp

from .splice import Samples, best_shift, spliced

CHUNK = SOUND_RATE_HZ // 50
"""Samples released at once: 20 ms, a packet of Opus."""
CHUNK_NS = NS_PER_S // 50
AGES_KEPT = 9
"""Pictures whose ages count."""
TIMES_KEPT = 50
"""Chunks (1 s) over which the time of capture is smoothed: packets come irregularly, samples do not."""
FLOORS_KEPT = 100
FORGIVEN = 2
"""In 100 releases (2 s) sound may have been short so often; with more than that it waits longer."""
SPARE_NS = 5 * NS_PER_MS

_HEED = 15 * SOUND_RATE_HZ // 1000
_ENOUGH = 4 * SOUND_RATE_HZ // 1000
"""An error is corrected from 15 ms on until it is below 4: nobody hears less, and each join is a risk."""
_LARGE = 120 * SOUND_RATE_HZ // 1000
_HOPELESS = 500 * SOUND_RATE_HZ // 1000
"""From here on it jumps: a moment's pause or a cut is better than seconds of wrong lips."""
_FADE = SOUND_RATE_HZ // 200
_SHORTEST, _LONGEST = SOUND_RATE_HZ // 400, SOUND_RATE_HZ // 100
"""A join leaves out or repeats 2.5 to 10 ms: periods of 400 to 100 Hz."""
_HISTORY = CHUNK
_QUIET = 0.003
"""Root mean square (-50 dB) below which nobody hears a join."""
_GAP = SOUND_RATE_HZ // 4
"""So much lost sound (250 ms) is filled with silence; more is a new beginning."""
_LEAP_NS = 300 * NS_PER_MS


class SoundLine:
    """Take sound in and release it in chunks of 20 ms, each when the picture of the same moment leaves."""

    def __init__(self, *, max_delay_ms: float = 1000.0) -> None:
        self._max_ns = round(max_delay_ms * NS_PER_MS)
        self._most = round(max_delay_ms / 1000 * SOUND_RATE_HZ) + SOUND_RATE_HZ // 2
        self._ages_ms: deque[float] = deque(maxlen=AGES_KEPT)
        self._offsets_ns: deque[int] = deque(maxlen=TIMES_KEPT)
        self._floors_ns: deque[int] = deque(maxlen=FLOORS_KEPT)
        self._line: Samples = np.zeros(0, np.float32)
        self._begin = 0
        """Place of the line's first sample in the source's own count."""
        self._play = 0
        """Place of the sample that is released next."""
        self._due_ns: int | None = None
        """When it is; None while there is no sound."""
        self._offset_ns = 0
        """Clock time of the source's sample 0."""
        self._source = ""
        self._is_starved = self._is_moving = self._is_new = False
        self._since_join = 0
        self._seq = 0
        self._pts: int | None = None
        self.dropped = 0
        """Samples forgotten since nobody took them in time."""

    # In.

    def painted(self, age_ms: float) -> None:
        """Note how old a picture was as it left."""
        self._ages_ms.append(age_ms)

    def put(self, chunk: AudioChunk, now_ns: int) -> None:
        """Take sound, 48 kHz mono, as it comes."""
        at, samples = chunk.stamp.pts, chunk.samples
        offset_ns = chunk.stamp.captured_ns - at * NS_PER_S // SOUND_RATE_HZ
        gap = at - self._end
        if (
            self._due_ns is None
            or chunk.stamp.source != self._source
            or not 0 <= gap <= _GAP
            or abs(offset_ns - self._offset_ns) > _LEAP_NS
        ):
            self._start(chunk, offset_ns, now_ns)
            return
        self._offsets_ns.append(offset_ns)
        self._offset_ns = round(median(self._offsets_ns))
        lost = np.zeros(gap, np.float32)
        self._line = np.concatenate([self._line, lost, samples])
        excess = self._end - self._play - self._most
        if excess > 0:
            self.dropped += excess
            self._play += excess
        self._trim()

    def _start(self, chunk: AudioChunk, offset_ns: int, now_ns: int) -> None:
        self._source, self._line = chunk.stamp.source, chunk.samples
        self._begin = self._play = chunk.stamp.pts
        self._offsets_ns.clear()
        self._floors_ns.clear()
        self._offsets_ns.append(offset_ns)
        self._offset_ns = offset_ns
        self._is_starved = self._is_moving = False
        self._is_new = True
        due_ns = max(now_ns, chunk.stamp.captured_ns + self.target_ns)
        self._due_ns = due_ns if self._due_ns is None else max(due_ns, self._due_ns)

    def clear(self) -> None:
        """Forget all sound; the ages stay."""
        self._line, self._due_ns = np.zeros(0, np.float32), None

    # Figures.

    @property
    def age_ms(self) -> float | None:
        """Median age of the newest pictures that left; None before the first."""
        return median(self._ages_ms) if self._ages_ms else None

    @property
    def target_ns(self) -> int:
        """How long after its capture sound should leave."""
        wish = self._age_ns
        if self._floors_ns:
            lowest = sorted(self._floors_ns)[-min(len(self._floors_ns), FORGIVEN + 1)]
            wish = max(wish, lowest + SPARE_NS)
        return min(wish, self._max_ns)

    @property
    def delay_ms(self) -> float | None:
        """How long after its capture sound leaves now; None while there is none."""
        return None if self._due_ns is None else (self._due_ns - self._captured_ns(self._play)) / NS_PER_MS

    @property
    def ahead_ms(self) -> float:
        """How far sound leaves before its picture, since it may not wait longer; 0.0 when it does not."""
        return max(0.0, (self._age_ns - self._max_ns) / NS_PER_MS)

    @property
    def held(self) -> int:
        """Samples in memory."""
        return len(self._line)

    # Out.

    @property
    def due_ns(self) -> int | None:
        """When `take` should be called next; None: after the next `put`."""
        return None if self._due_ns is None or self._left < CHUNK else self._due_ns

    def take(self, now_ns: int) -> AudioChunk | None:
        """Release the next 20 ms if they are due; call it until it returns None."""
        if self._due_ns is None or now_ns < self._due_ns:
            return None
        if self._left < CHUNK:
            self._is_starved = True
            return None
        if self._is_starved:  # what should have gone before came only now: all that follows is as late
            self._is_starved = False
            self._due_ns = max(self._due_ns, now_ns)
        delay_ns = self._due_ns - self._captured_ns(self._play)
        self._floors_ns.append(delay_ns - (self._left - CHUNK) * NS_PER_S // SOUND_RATE_HZ)
        error = (delay_ns - self.target_ns) * SOUND_RATE_HZ // NS_PER_S
        if error < -_HOPELESS or (self._is_new and error < -_HEED):
            self._due_ns -= error * NS_PER_S // SOUND_RATE_HZ
            self._is_new = False
            return None
        shift = self._shift(error)
        self._is_new = False
        samples = spliced(self._line, self._play - self._begin, shift, CHUNK, _FADE)
        self._play += shift
        made = AudioChunk(self._stamp(self._due_ns), samples, SOUND_RATE_HZ)
        self._play += CHUNK
        self._due_ns += CHUNK_NS
        self._trim()
        return made

    def _stamp(self, due_ns: int) -> Stamp:
        """Count samples as they leave; a pause moves the count on by whole chunks."""
        at = due_ns * SOUND_RATE_HZ // NS_PER_S
        if self._pts is None:
            self._pts = at
        self._pts += max(0, at - self._pts) // CHUNK * CHUNK
        stamp = Stamp(
            self._source, self._seq, self._pts, Fraction(1, SOUND_RATE_HZ), self._captured_ns(self._play)
        )
        self._pts += CHUNK
        self._seq += 1
        return stamp

    def _shift(self, error: int) -> int:
        """Return the samples to leave out now (negative: to repeat), for sound that is `error` too late."""
        size = abs(error)
        self._is_moving = size > _ENOUGH if self._is_moving else size > _HEED
        self._since_join += 1
        if not self._is_moving:
            return 0
        at = self._play - self._begin
        room = self._left - CHUNK if error > 0 else at
        if error > _HOPELESS:
            return min(error, room)
        most = min(size, room, _HISTORY)
        here = self._line[at : at + CHUNK]
        if float(here @ here) < _QUIET**2 * CHUNK:
            return most if error > 0 else -most
        most = min(most, _LONGEST)
        if self._since_join < (2 if size > _LARGE else 3) or most < _SHORTEST:
            return 0
        self._since_join = 0
        low, high = (_SHORTEST, most) if error > 0 else (-most, -_SHORTEST)
        return best_shift(self._line, at, low, high, _FADE)

    # Places and times.

    @property
    def _end(self) -> int:
        return self._begin + len(self._line)

    @property
    def _left(self) -> int:
        return self._end - self._play

    @property
    def _age_ns(self) -> int:
        return round(median(self._ages_ms) * NS_PER_MS) if self._ages_ms else 0

    def _captured_ns(self, place: int) -> int:
        return self._offset_ns + place * NS_PER_S // SOUND_RATE_HZ

    def _trim(self) -> None:
        old = self._play - self._begin - _HISTORY
        if old > 0:
            self._line = self._line[old:]
            self._begin += old
