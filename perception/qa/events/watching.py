"""Since when somebody told of things at all: of an hour unwatched "I saw no dog" says nothing."""

from __future__ import annotations

from .records import Record

SEEN, ANY = "seen", "any"
"""What was told of: things in the picture; anything."""


class Watching:
    """Know the spans in which something came without a longer gap."""

    def __init__(self, label: str, gap_ns: int) -> None:
        self._label = label
        self._gap_ns = gap_ns
        self._span: tuple[int, int] | None = None

    def see(self, at_ns: int, gap_ns: int = 0) -> list[Record]:
        """Note that something came; return the span before if the gap was too long."""
        begin_ns, end_ns = self._span or (at_ns, at_ns)
        if at_ns - end_ns <= max(self._gap_ns, gap_ns):
            self._span = begin_ns, max(at_ns, end_ns)
            return []
        self._span = at_ns, at_ns
        return [Record("watched", begin_ns, end_ns, self._label)]

    def lasting(self) -> list[Record]:
        """Return the span that goes on."""
        return [Record("watched", *self._span, self._label, is_open=True)] if self._span else []

    def forget(self, begin_ns: int, end_ns: int) -> list[Record]:
        """Take a span out; return what lies before it."""
        if self._span is None or self._span[0] > end_ns or self._span[1] < begin_ns:
            return []
        first_ns, last_ns = self._span
        self._span = (end_ns, last_ns) if last_ns > end_ns else None
        return [Record("watched", first_ns, begin_ns, self._label)] if first_ns < begin_ns else []
