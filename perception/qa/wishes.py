"""What somebody wants to be told of: wishes, looked at with each event that is remembered."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from realtime.core.errors import ConfigError

from .base import Moment
from .events.memory import EventMemory
from .events.standing import Standing, condition_of

HELD = 32
"""Wishes of one stream."""
_WISH = re.compile(
    r"^\s*(?:please,?\s+)?(?:(?:tell|notify|alert|warn|ping|inform|remind)\s+(?:me|us)|let\s+(?:me|us)\s+know)"
    r"(?:\s+please)?,?\s+(?:when(?:ever)?|if|once|as soon as|each time|every time)\b(?P<what>.*)",
    re.IGNORECASE | re.DOTALL,
)
_PAST = re.compile(r"\b(?:was|were|did|had|appeared|came|left|went|moved|said|mentioned|saw|seen)\b", re.I)


def is_wish(text: str) -> bool:
    """Tell a wish ("tell me when a dog appears") from a question ("tell me when the dog appeared")."""
    found = _WISH.match(text)
    return found is not None and not _PAST.search(found["what"])


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold one wish of a person's."""

    id: int
    text: str
    standing: Standing


class Wishes:
    """Hold the wishes about one stream. All methods from any thread, but for `feed`, which one calls."""

    def __init__(self, events: EventMemory) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._wishes: dict[int, Wish] = {}
        self._count = 0

    def add(self, text: str) -> Wish:
        """Watch from now on. Raises ConfigError for a wish that is not understood, or one too many."""
        condition = condition_of(text, self._events.knows)
        with self._lock:
            if len(self._wishes) >= HELD:
                raise ConfigError(f"{HELD} wishes are kept already.", hint="Take one of them back first.")
            self._count += 1
            wish = self._wishes[self._count] = Wish(self._count, text, Standing(condition))
        return wish

    def drop(self, wish_id: int) -> Wish | None:
        """Take a wish back; return it, or None where there is none."""
        with self._lock:
            return self._wishes.pop(wish_id, None)

    def listed(self) -> list[Wish]:
        """Return them, the oldest first."""
        with self._lock:
            return list(self._wishes.values())

    def feed(self, event: Mapping[str, Any], at_ns: int, tell: Callable[[Wish, Moment], object]) -> None:
        """Look at all of them, once the memory has the event, and tell of those that came true."""
        wishes = self.listed()
        memory = self._events.snapshot() if wishes else None
        for wish in wishes:
            if memory is not None and (moment := wish.standing.feed(event, at_ns, memory)) is not None:
                shown = self._events.picture_at(moment.at_ns) if moment.picture is None else moment.picture
                tell(wish, replace(moment, picture=shown))
