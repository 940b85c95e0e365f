"""What came of something said to the machine: a wish that was understood, or that there was none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from realtime.core.clock import NS_PER_MS

from .wishes import Wish, told

Outcome = Literal["understood", "not_understood", "listening"]


@dataclass(frozen=True, slots=True)
class Command:
    """Hold one of them. `listening`: the wake phrase was said alone, and a command may follow."""

    outcome: Outcome
    text: str
    """The words as the grammar has them; of what was not understood, the nearest sentence."""
    confidence: float
    """0 to 1."""
    begin_s: float
    end_s: float
    """In the sound's own time."""
    wish: Wish | None = None
    captured_ns: int = 0
    """When the last of it came through the door."""

    @property
    def is_news(self) -> bool:
        """Each is told, however busy it is."""
        return True

    def told(self, now_ns: int) -> dict[str, Any]:
        """Return the event "command"; who applies the wish adds what it changed."""
        return {
            "type": "command",
            "outcome": self.outcome,
            "text": self.text,
            "confidence": round(self.confidence, 3),
            "begin_s": round(self.begin_s, 3),
            "end_s": round(self.end_s, 3),
            "wish": None if self.wish is None else told(self.wish),
            "delay_ms": round((now_ns - self.captured_ns) / NS_PER_MS, 1),
        }
