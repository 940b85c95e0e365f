"""Which sound is listened to: all of it for a wake phrase, or what is said while somebody holds a button.

Sound comes later than the news that a button was pressed or let go, so a stretch before and after counts too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from perception.asr.endpoint import Endpointer, EndRules
from perception.asr.intake import WINDOW, Samples, Window
from perception.asr.transcript import Turn
from perception.asr.vad import Vad, loudness_db
from realtime.core.frame import SPEECH_RATE_HZ

Mode = Literal["off", "push_to_talk", "wake"]
BEFORE_S = 0.4
"""Sound before the button was pressed that counts."""
AFTER_S = 0.4
"""And after it was let go."""
EAGER_MS = 130.0
"""After so much silence work on an utterance begins, so that it is done when it is sure to be over."""
LONGEST_S = 10.0
"""No command is longer; a longer utterance is none."""
_HELD = round((LONGEST_S + 2.0) * SPEECH_RATE_HZ / WINDOW)


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Hold what was said between two silences."""

    samples: Samples
    begin_s: float
    end_s: float
    captured_ns: int
    is_over: bool = True
    """Whether it is; else it probably is, and nothing but silence may follow."""
    was_told: bool = False
    """Whether the one told before was this one, but for the silence after it."""


class Gate:
    """Cut one stream into the utterances that may be commands."""

    def __init__(self, vad: Vad) -> None:
        self._vad = vad
        self._ends = Endpointer()
        self._windows: deque[Window] = deque(maxlen=_HELD)
        self._before: deque[Window] = deque(maxlen=_count(BEFORE_S))
        self._made = self._first = 0
        self._is_told = False
        self._is_open = False
        self._closing = 0
        self.mode: Mode = "off"
        self.is_held = False

    def configure(self, mode: Mode, is_held: bool, end_ms: float) -> None:
        """Take the mode, whether the button is held, and the silence that ends an utterance."""
        if self.is_held and not is_held:
            self._closing = _count(AFTER_S)
        if mode != self.mode:
            self._shut()
            self._closing = 0
        self.mode, self.is_held = mode, is_held
        self._ends.rules = EndRules(end_ms=end_ms, eager_ms=min(EAGER_MS, end_ms), max_s=LONGEST_S)

    def reset(self) -> None:
        """Forget the stream."""
        self._shut()
        self._before.clear()
        self._closing = 0

    def take(self, window: Window) -> Iterator[Utterance]:
        """Yield the utterances that end with this window, or probably do."""
        if window.is_first:
            self._shut()
            self._before.clear()
        if not self._listens():
            yield from self._close()
            self._before.append(window)
            return
        if not self._is_open:
            self._is_open = True
            for one in self._before:
                yield from self._hear(one)
            self._before.clear()
        yield from self._hear(window)
        if self._closing and not self.is_held:
            self._closing -= 1

    def _listens(self) -> bool:
        if self.mode == "push_to_talk":
            return self.is_held or self._closing > 0
        return self.mode == "wake"

    def _hear(self, window: Window) -> Iterator[Utterance]:
        self._windows.append(window)
        self._made += 1
        for mark in self._ends.take(self._vad.probability(window.samples), loudness_db(window.samples)):
            if mark.turn is Turn.START:
                self._first = mark.window
            elif mark.turn is Turn.EAGER_END:
                yield self._utterance(mark.window + 1, is_over=False)
            elif mark.turn is Turn.END and not mark.is_cut:
                yield self._utterance(mark.window)
            self._is_told = mark.turn is Turn.EAGER_END

    def _close(self) -> Iterator[Utterance]:
        """End what is being said, since the button was let go."""
        if self._is_open:
            for mark in self._ends.end():
                yield self._utterance(mark.window)
            self._shut()

    def _utterance(self, end: int, *, is_over: bool = True) -> Utterance:
        begin = max(self._first - self._made, -len(self._windows))
        windows = list(self._windows)[begin : (end - self._made) or None]
        samples = np.concatenate([one.samples for one in windows])
        newest_ns = self._windows[-1].captured_ns
        return Utterance(samples, windows[0].begin_s, windows[-1].end_s, newest_ns, is_over, self._is_told)

    def _shut(self) -> None:
        self._is_open = False
        self._ends.reset()
        self._vad.reset()
        self._windows.clear()
        self._made = self._first = 0
        self._is_told = False


def _count(time_s: float) -> int:
    return round(time_s * SPEECH_RATE_HZ / WINDOW)
