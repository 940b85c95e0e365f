"""What was said in each session, kept as captions for a while: all final words, however busy a line was.

They live in memory only and are given to whose session it was. Their times are those of the session's sound.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from perception.asr.captions import Cue, cues_of, srt, vtt
from realtime.core.clock import NS_PER_S, Clock

from .visitors import may

if TYPE_CHECKING:
    from .session import Session

CUES_HELD = 20_000
"""Of one session, about a day of talking; the oldest go first."""
SESSIONS_HELD = 256
WRITERS: Mapping[str, Callable[[list[Cue]], str]] = MappingProxyType({"srt": srt, "vtt": vtt})
"""What writes each kind of file."""


@dataclass(slots=True)
class _Shelf:
    """Hold the cues of one session."""

    owner: str
    cues: list[Cue] = field(default_factory=list)
    ended_ns: int | None = None


class Captions:
    """Keep them. From any thread."""

    def __init__(self, clock: Clock, keep_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._shelves: OrderedDict[str, _Shelf] = OrderedDict()

    def follow(self, session: Session) -> None:
        """Write down what is said in a session, if it has stages that hear."""
        if not session.wiring.hears:
            return
        shelf = _Shelf(session.owner)
        with self._lock:
            self._shelves[session.id] = shelf
            while len(self._shelves) > SESSIONS_HELD:
                self._shelves.popitem(last=False)
        session.taps.listen(event=lambda kind, what: self._note(shelf, kind, what))

    def ended(self, session_id: str) -> None:
        """Note that a session has ended: its captions are kept for a while."""
        with self._lock:
            shelf = self._shelves.get(session_id)
            if shelf is not None:
                shelf.ended_ns = self._clock.now_ns()

    def written(self, session_id: str, kind: str) -> str | None:
        """Return a session's captions as a file; None where nobody may have any (any more)."""
        with self._lock:
            self._forget_old()
            shelf = self._shelves.get(session_id)
            if shelf is None or kind not in WRITERS or not may(shelf.owner):
                return None
            return WRITERS[kind](shelf.cues)

    def _note(self, shelf: _Shelf, kind: str, what: Mapping[str, Any]) -> None:
        if kind != "heard" or not what["text"]:
            return
        with self._lock:
            shelf.cues += said(what)
            del shelf.cues[:-CUES_HELD]

    def _forget_old(self) -> None:
        until_ns = self._clock.now_ns() - round(self._keep_s * NS_PER_S)
        for session_id in [
            key for key, one in self._shelves.items() if one.ended_ns is not None and one.ended_ns < until_ns
        ]:
            del self._shelves[session_id]


def said(event: Mapping[str, Any], shift_s: float = 0.0) -> list[Cue]:
    """Return the cues of an event "heard", its times moved by `shift_s`."""
    words = [(word, begin_s + shift_s, end_s + shift_s) for word, begin_s, end_s in event["words"]]
    return cues_of(event["text"], event["begin_s"] + shift_s, event["end_s"] + shift_s, words)
