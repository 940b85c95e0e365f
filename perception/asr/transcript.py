"""What was heard: words with times, and the turns of an utterance as page, record and others see them.

Times are seconds of the stream's own sound (the stamp's `pts` over its rate), so captions and pictures of one
source meet on one clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from realtime.core.clock import NS_PER_MS


class Turn(StrEnum):
    """Name what happened to an utterance; the words are those of Deepgram's Flux, which the field knows."""

    START = "start"
    """Somebody began to speak."""
    UPDATE = "update"
    """There is more text."""
    EAGER_END = "eager_end"
    """It is probably over: who answers may begin to."""
    RESUMED = "resumed"
    """It was not."""
    END = "end"
    """It is over; the text is final."""


@dataclass(frozen=True, slots=True)
class Word:
    """Hold one word, when it was spoken, and how sure the recogniser is (0 to 1; None: it does not say)."""

    text: str
    begin_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Hold what a recogniser makes of an utterance so far; times count from its beginning."""

    text: str = ""
    words: tuple[Word, ...] = ()
    """Empty where the recogniser knows no word times."""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """Hold one turn of one utterance. `text` of an update never takes a word back that an earlier one had."""

    turn: Turn
    utterance: int
    """0, 1, 2 ... within a session."""
    text: str
    """What stands: append-only within an utterance, until `END` brings the final words."""
    tail: str
    """What may still change."""
    begin_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    engine: str = ""
    captured_ns: int = 0
    """When the newest sound in it came through the door."""
    before: str = ""
    """Final words of the utterance before, for who looks only now and then."""

    @property
    def is_final(self) -> bool:
        return self.turn is Turn.END

    @property
    def is_news(self) -> bool:
        """Whether it has to be told, however much is told already: all but texts that grow."""
        return self.turn is not Turn.UPDATE

    def told(self, now_ns: int) -> dict[str, Any]:
        """Return the event "heard" for page, record and data channel."""
        return {
            "type": "heard",
            "turn": self.turn.value,
            "utterance": self.utterance,
            "text": self.text,
            "tail": self.tail,
            "begin_s": round(self.begin_s, 3),
            "end_s": round(self.end_s, 3),
            "words": [[one.text, round(one.begin_s, 3), round(one.end_s, 3)] for one in self.words],
            "confidence": None if self.confidence is None else round(self.confidence, 3),
            "engine": self.engine,
            "delay_ms": round((now_ns - self.captured_ns) / NS_PER_MS, 1),
        }
