"""Look up what is remembered, as of a snapshot: records up to an id, and what lasted at that moment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from realtime.core.clock import NS_PER_S

from .asked import Edge
from .places import is_in
from .records import Kind, Record
from .spans import Span
from .store import Store
from .subjects import Subject
from .words import names_of

EVER = Span()
MOST_SWEPT = 5_000
"""Records that are gone through one by one to count a colour; of more the newest."""
_PLACES = {
    "left": ("left",),
    "right": ("right",),
    "top": ("at the top", "upper"),
    "bottom": ("at the bottom", "lower"),
}
_PLACES["middle"] = ("in the middle",)


@dataclass(frozen=True, slots=True)
class Memory:
    """Be a snapshot: what was remembered at one moment."""

    last_id: int = 0
    last_picture: int = 0
    known_ns: int = 0
    """0: nothing came yet."""
    lasting: tuple[Record, ...] = ()
    detector: str = ""
    era: int = 0
    """How often something was forgotten before."""
    names: frozenset[str] = field(default_factory=frozenset)
    """Labels that are known to be told apart, beside those of a detector that is known by name."""


class Reading:
    """Read one snapshot. `hidden` are spans that were forgotten after it was taken."""

    def __init__(self, store: Store, memory: Memory, hidden: Iterable[tuple[int, int]] = ()) -> None:
        self._store = store
        self.memory = memory
        self.now_ns = memory.known_ns
        self._lasting = memory.lasting
        for begin_ns, end_ns in hidden:
            self._lasting = tuple(
                one for one in self._lasting if one.begin_ns > end_ns or one.end_ns < begin_ns
            )

    def knows(self, label: str) -> bool | None:
        """Tell whether what sees can tell a label apart; None where its labels are not known."""
        known = {*names_of(self.memory.detector), *self.memory.names}
        if label in known or self.lasting("thing", label):
            return True
        seen = self._store.rows(
            "SELECT 1 FROM events WHERE kind = 'thing' AND label = ? AND id <= ? LIMIT 1",
            (label, self.memory.last_id),
        )
        return True if seen else False if known else None

    def start_ns(self) -> int:
        """Return since when anything is remembered; 0 for nothing."""
        found = self._store.rows(
            "SELECT min(t0_ns) FROM events WHERE kind = 'watched' AND label = 'any' AND id <= ?",
            (self.memory.last_id,),
        )[0][0]
        lasting = [one.begin_ns for one in self.lasting("watched", "any")]
        return min([*([found] if found else []), *lasting], default=0)

    def watched(self, label: str, span: Span = EVER) -> bool:
        """Tell whether somebody told of something in a span of time."""
        return bool(self.records("watched", (label,), span, limit=1))

    def lasting(self, kind: Kind, label: str | None = None) -> list[Record]:
        """Return what lasted when the snapshot was taken; "count" may hold stretches that were over."""
        return [one for one in self._lasting if one.kind == kind and label in (None, one.label)]

    def things(
        self,
        subject: Subject,
        span: Span = EVER,
        *,
        kind: Kind = "thing",
        edge: Edge = "",
        is_first: bool = False,
        limit: int = 8,
    ) -> list[Record]:
        """Return records of what is asked about, the newest first, or the oldest.

        With an edge of "appeared" or "left" only those that began, or ended, within the span.
        """
        return self.records(
            kind, subject.labels or (None,), span, colour=subject.colour, place=subject.place,
            edge=edge, is_first=is_first, limit=limit,
        )  # fmt: skip

    def records(
        self,
        kind: Kind,
        labels: Sequence[str | None] = (None,),
        span: Span = EVER,
        *,
        colour: str = "",
        place: str = "",
        edge: Edge = "",
        is_first: bool = False,
        limit: int = 8,
    ) -> list[Record]:
        """Return records of a kind that touch a span, the newest first, or the oldest."""
        where, values = _where(kind, span, colour, place, edge, self.memory.last_id)
        order = "t0_ns" if is_first else "t1_ns DESC"
        found = [
            one
            for one in self._lasting
            if one.kind == kind
            and (labels[0] is None or one.label in labels)
            and _touches(one, span, edge)
            and (not colour or one.colour == colour)
            and (not place or is_in(one.box, place))
        ]
        if not is_first and len(found) >= limit:
            return sorted(found, key=lambda one: -one.end_ns)[:limit]
        for label in labels:
            named = ("label = ? AND ", (label,)) if label is not None else ("", ())
            sql = f"kind = ? AND {named[0]}{where} ORDER BY {order} LIMIT {limit}"
            found += self._store.records(sql, (kind, *named[1], *values))
        found.sort(key=(lambda one: one.begin_ns) if is_first else (lambda one: -one.end_ns))
        return found[:limit]

    def visits(self, subject: Subject, span: Span = EVER, edge: Edge = "") -> int:
        """Return how many records of things touch a span."""
        where, values = _where("thing", span, subject.colour, subject.place, edge, self.memory.last_id)
        total = len(
            [
                one
                for one in self.lasting("thing")
                if (not subject.labels or one.label in subject.labels)
                and _touches(one, span, edge)
                and (not subject.colour or one.colour == subject.colour)
                and (not subject.place or is_in(one.box, subject.place))
            ]
        )
        for label in subject.labels or (None,):
            named = ("label = ? AND ", (label,)) if label is not None else ("", ())
            sql = f"SELECT count(*) FROM events WHERE kind = 'thing' AND {named[0]}{where}"
            total += self._store.rows(sql, (*named[1], *values))[0][0]
        return total

    def peak(self, subject: Subject, span: Span = EVER) -> tuple[int, Record | None]:
        """Return how many were there at the same time at most, and when that was."""
        if subject.colour or subject.place or len(subject.labels) != 1:
            return _swept(self.things(subject, span, limit=MOST_SWEPT), span)
        label = subject.labels[0]
        lasting = [one for one in self.lasting("count", label) if _touches(one, span, "")]
        best = max(lasting, key=lambda one: one.number, default=None)
        where, values = _where("count", span, "", "", "", self.memory.last_id)
        most = self._store.rows(
            f"SELECT max(number) FROM events WHERE kind = 'count' AND label = ? AND {where}", (label, *values)
        )[0][0]
        if most and (best is None or most > best.number):
            best = self._store.records(
                f"kind = 'count' AND label = ? AND number = ? AND {where} ORDER BY t1_ns DESC LIMIT 1",
                (label, most, *values),
            )[0]
        if best is None:  # too short for a stretch of its own
            return _swept(self.things(subject, span), span)
        return best.number, best

    def total_s(self, subject: Subject, span: Span = EVER) -> float:
        """Return for how long at least one was there, in seconds."""
        if subject.colour or subject.place or len(subject.labels) != 1:
            return _covered_s(self.things(subject, span, limit=MOST_SWEPT), span)
        label = subject.labels[0]
        where, values = _where("count", span, "", "", "", self.memory.last_id)
        total = self._store.rows(
            "SELECT sum(min(t1_ns, ?) - max(t0_ns, ?)) FROM events "
            f"WHERE kind = 'count' AND label = ? AND {where}",
            (span.end_ns, span.begin_ns, label, *values),
        )[0][0]
        lasting = [one for one in self.lasting("count", label) if _touches(one, span, "")]
        return (total or 0) / NS_PER_S + _covered_s(lasting, span)

    def labels(self, span: Span = EVER) -> list[tuple[str, int, int]]:
        """Return each label that was seen, how often, and when it ended last; the newest first."""
        where, values = _where("thing", span, "", "", "", self.memory.last_id)
        found = {
            label: (count, end_ns)
            for label, count, end_ns in self._store.rows(
                "SELECT label, count(*), max(t1_ns) FROM events INDEXED BY events_end "
                f"WHERE kind = 'thing' AND {where} GROUP BY label",
                values,
            )
        }
        for one in self.lasting("thing"):
            if _touches(one, span, ""):
                count, end_ns = found.get(one.label, (0, 0))
                found[one.label] = count + 1, max(end_ns, one.end_ns)
        return sorted(((label, *said) for label, said in found.items()), key=lambda one: -one[2])

    def count(self, kind: Kind, span: Span = EVER) -> int:
        """Return how many records of a kind touch a span."""
        where, values = _where(kind, span, "", "", "", self.memory.last_id)
        here = [one for one in self.lasting(kind) if _touches(one, span, "")]
        found = self._store.rows(f"SELECT count(*) FROM events WHERE kind = ? AND {where}", (kind, *values))
        return int(found[0][0]) + len(here)

    def search(
        self, words: Iterable[str], span: Span = EVER, kinds: Sequence[Kind] = (), limit: int = 5
    ) -> list[Record]:
        """Return records whose text has all of some words, in any of their forms, the newest first."""
        sought = " ".join(f'"{word}"' for text in words for word in re.findall(r"\w+", text))
        if not sought:
            return []
        among = f"AND kind IN ({', '.join('?' * len(kinds))})" if kinds else "AND kind NOT IN ('watched')"
        return self._store.records(
            "id IN (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT 2000) "
            f"AND id <= ? AND +t0_ns <= ? AND +t1_ns >= ? {among} ORDER BY id DESC LIMIT {limit}",
            (sought, self.memory.last_id, span.end_ns, span.begin_ns, *kinds),
        )

    def picture(self, record: Record) -> int | None:
        """Return the number of the kept picture that shows a record best: its end before its begin."""
        margin_ns = NS_PER_S if record.end_ns - record.begin_ns < NS_PER_S else 0
        found = self._store.rows(
            "SELECT id FROM pictures WHERE at_ns BETWEEN ? AND ? AND id <= ? ORDER BY at_ns DESC LIMIT 1",
            (record.begin_ns - margin_ns, record.end_ns + margin_ns, self.memory.last_picture),
        )
        return int(found[0][0]) if found else None


def _where(
    kind: Kind, span: Span, colour: str, place: str, edge: Edge, last_id: int
) -> tuple[str, tuple[object, ...]]:
    """Return a condition and its values; a plus keeps a column from choosing the index."""
    parts = {
        "": "+t0_ns <= ? AND t1_ns >= ?",
        "moved": "+t0_ns <= ? AND t1_ns >= ?",
        "appeared": "t0_ns <= ? AND t0_ns >= ?",
        "left": "t1_ns <= ? AND t1_ns >= ?",
    }
    values: list[object] = [span.end_ns, span.begin_ns]
    condition = f"{parts[edge]} AND +id <= ?"
    values.append(last_id)
    if colour:
        condition += " AND colour = ?"
        values.append(colour)
    if place:
        ways = _PLACES.get(place, (place,))
        condition += f" AND ({' OR '.join(['instr(text, ?) > 0'] * len(ways))})"
        values += ways
    return condition, tuple(values)


def _touches(record: Record, span: Span, edge: Edge) -> bool:
    if edge == "appeared":
        return span.begin_ns <= record.begin_ns <= span.end_ns
    if edge == "left":
        return False  # it is still there
    return record.begin_ns <= span.end_ns and record.end_ns >= span.begin_ns


def _swept(records: Sequence[Record], span: Span) -> tuple[int, Record | None]:
    """Return how many of some records hold at the same time at most, and the last that made it so many."""
    changes = [(max(one.begin_ns, span.begin_ns), 1, one) for one in records]
    changes += [(one.end_ns, -1, one) for one in records]
    number, most, best = 0, 0, None
    for _, by, one in sorted(changes, key=lambda change: (change[0], change[1])):
        number += by
        if number > most:
            most, best = number, one
    return most, best


def _covered_s(records: Iterable[Record], span: Span) -> float:
    """Return how long at least one of some records holds."""
    covered_ns, until_ns = 0, 0
    for one in sorted(records, key=lambda record: record.begin_ns):
        begin_ns, end_ns = max(one.begin_ns, span.begin_ns, until_ns), min(one.end_ns, span.end_ns)
        if end_ns > begin_ns:
            covered_ns += end_ns - begin_ns
            until_ns = end_ns
    return covered_ns / NS_PER_S
