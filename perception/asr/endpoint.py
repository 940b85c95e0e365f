"""When an utterance begins, may be over, goes on, and is over: a state machine over windows, nothing else.

It is told how likely speech is and how loud it is, and says at which window what happened. It knows neither
sound nor recogniser nor clock. Its words are those of `Turn`.

An utterance that never pauses has to be cut somewhere. From `search_s` before the limit on, the first window
that is as quiet as the quietest one of the time before will do, and what will do grows louder until the limit
itself: a cut falls between words where there is such a place, and no sound has to be taken back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from realtime.core.frame import SPEECH_RATE_HZ

from .intake import WINDOW
from .transcript import Turn

WINDOWS_PER_S = SPEECH_RATE_HZ / WINDOW
SMOOTHED = 3
"""Windows (96 ms) over which loudness counts when a place to cut is sought: a plosive's gap is shorter."""
TAIL_MS = 200.0
LEEWAY_DB = 30.0
"""How much louder than the quietest a place to cut may be at the limit."""


@dataclass(frozen=True, slots=True)
class EndRules:
    """Say what counts as speech, and how long a silence ends it."""

    begins_at: float = 0.5
    """Probability from which a window is speech while nobody speaks."""
    stays_at: float = 0.35
    """Probability from which it still is while somebody does."""
    begin_ms: float = 64.0
    """So much speech begins an utterance: a click is shorter."""
    preroll_ms: float = 400.0
    """So much of the sound before that belongs to it: the first word begins softly."""
    eager_ms: float = 350.0
    """After so much silence it is probably over."""
    end_ms: float = 800.0
    """After so much it is."""
    tail_ms: float = TAIL_MS
    """So much of that silence belongs to it."""
    max_s: float = 15.0
    """An utterance is cut after this time."""
    search_s: float = 5.0
    """How long before that a quiet place to cut is looked for."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Say what happened, and at which window: for `START` the first one that belongs to the utterance, for
    `END` the first one that does not any more, else the present one."""

    turn: Turn
    window: int
    is_cut: bool = False
    """At `END`: whether it was only too long, and speech probably goes on."""


class Endpointer:
    """Follow one stream. Windows count 0, 1, 2 ... from the last `reset`."""

    def __init__(self, rules: EndRules = EndRules()) -> None:
        self.rules = rules
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._now = -1
        self._free = 0
        """First window that belongs to no utterance before."""
        self._loud = 0
        """Windows of speech in a row while nobody speaks, less the gaps in it."""
        self._first: int | None = None
        """First window of the utterance; None while nobody speaks."""
        self._spoken = 0
        """Newest window of speech."""
        self._is_eager = False
        self._levels_db: deque[float] = deque(maxlen=SMOOTHED)
        self._lowest_db: deque[float] = deque(maxlen=_windows(1000 * self.rules.search_s))

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is going on."""
        return self._first is not None

    @property
    def reach(self) -> int:
        """First window that is not known yet to belong to the utterance: a pause longer than its tail may be
        its end."""
        return min(self._now, self._spoken + _windows(self.rules.tail_ms)) + 1

    def take(self, probability: float, level_db: float) -> tuple[Mark, ...]:
        """Take the next window and return what happened, in order. No `UPDATE` is among it."""
        self._now += 1
        self._levels_db.append(level_db)
        smooth_db = max(self._levels_db)
        if self._first is None:
            marks = self._while_silent(probability)
        else:
            marks = self._while_spoken(self._first, probability, smooth_db)
        self._lowest_db.append(smooth_db)
        return marks

    def end(self) -> tuple[Mark, ...]:
        """End an utterance that goes on, since nothing follows."""
        return () if self._first is None else (self._ended(self._now + 1),)

    def _while_silent(self, probability: float) -> tuple[Mark, ...]:
        if probability < self.rules.begins_at:
            self._loud = max(0, self._loud - 1)
            return ()
        self._loud += 1
        if self._loud < _windows(self.rules.begin_ms):
            return ()
        first = max(self._free, self._now + 1 - self._loud - _windows(self.rules.preroll_ms))
        self._first, self._spoken, self._is_eager, self._loud = first, self._now, False, 0
        return (Mark(Turn.START, first),)

    def _while_spoken(self, first: int, probability: float, smooth_db: float) -> tuple[Mark, ...]:
        if probability >= self.rules.stays_at:
            self._spoken = self._now
            if self._is_eager:
                self._is_eager = False
                return (Mark(Turn.RESUMED, self._now),)
        silent = self._now - self._spoken
        if silent >= _windows(self.rules.end_ms):
            return (self._ended(min(self._now + 1, self._spoken + 1 + _windows(self.rules.tail_ms))),)
        if self._now + 1 - first >= self._limit(smooth_db):
            return (self._ended(self._now + 1, is_cut=True),)
        if silent >= _windows(self.rules.eager_ms) and not self._is_eager:
            self._is_eager = True
            return (Mark(Turn.EAGER_END, self._now),)
        return ()

    def _limit(self, smooth_db: float) -> float:
        """Return how many windows the utterance may have if it is to be cut now."""
        most, search = _windows(1000 * self.rules.max_s), _windows(1000 * self.rules.search_s)
        excess_db = smooth_db - min(self._lowest_db, default=smooth_db)
        return most - search * (1.0 - min(1.0, max(0.0, excess_db / LEEWAY_DB)))

    def _ended(self, window: int, *, is_cut: bool = False) -> Mark:
        self._first, self._free = None, window
        return Mark(Turn.END, window, is_cut)


def _windows(time_ms: float) -> int:
    """Return how many windows a time takes, one at least."""
    return max(1, round(time_ms / 1000 * WINDOWS_PER_S))
