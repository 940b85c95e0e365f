"""Look up what is remembered, as of a snapshot: records up to an id, and what lasted at that moment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from realtime.core.clock import NS_PER_S

from .asked import Edge
from .conditions import covered_s, is_of, newest, swept, touches, where
from .records import Kind, Record
from .spans import Span
from .store import Store
from .subjects import Subject
from .words import names_of

EVER = Span()
MOST_SWEPT = 5_000
"""Records that are gone through one by one to count a colour; of more the newest."""
ID_SLACK = 1_000
"""So many records may be written between two that ended at about the same time."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Be a snapshot: what was remembered at one moment."""

    last_id: int = 0
    last_picture: int = 0
    known_ns: int = 0
    """0: nothing came yet."""
    lasting: tuple[Record, ...] = ()
    detector: str = ""
    offset_ns: int = 0
    """What was added to the stream's own times."""
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
        sought = Subject(tuple(one for one in labels if one is not None), colour, place)
        condition, values = where(kind, span, colour, place, edge, self.memory.last_id)
        order = "t0_ns" if is_first else "t0_ns DESC" if edge == "appeared" else "t1_ns DESC"
        found = [
            one
            for one in self._lasting
            if one.kind == kind and is_of(one, sought) and touches(one, span, edge)
        ]
        if not is_first and not edge and len(found) >= limit:
            return sorted(found, key=newest)[:limit]
        for label in labels:
            named = ("label = ? AND ", (label,)) if label is not None else ("", ())
            sql = f"kind = ? AND {named[0]}{condition} ORDER BY {order} LIMIT {limit}"
            found += self._store.records(sql, (kind, *named[1], *values))
        if edge == "appeared" and not is_first:
            found.sort(key=lambda one: -one.begin_ns)
        else:
            found.sort(key=(lambda one: one.begin_ns) if is_first else newest)
        return found[:limit]

    def visits(self, subject: Subject, span: Span = EVER, edge: Edge = "") -> int:
        """Return how many records of things touch a span."""
        condition, values = where("thing", span, subject.colour, subject.place, edge, self.memory.last_id)
        total = len(
            [one for one in self.lasting("thing") if is_of(one, subject) and touches(one, span, edge)]
        )
        for label in subject.labels or (None,):
            named = ("label = ? AND ", (label,)) if label is not None else ("", ())
            sql = f"SELECT count(*) FROM events WHERE kind = 'thing' AND {named[0]}{condition}"
            total += self._store.rows(sql, (*named[1], *values))[0][0]
        return total

    def peak(self, subject: Subject, span: Span = EVER) -> tuple[int, Record | None]:
        """Return how many were there at the same time at most, and when that was."""
        if subject.colour or subject.place or len(subject.labels) != 1:
            return swept(self._times(subject, span), span, self.things(subject, span, limit=1))
        label = subject.labels[0]
        lasting = [one for one in self.lasting("count", label) if touches(one, span, "")]
        best = max(lasting, key=lambda one: one.number, default=None)
        condition, values = where("count", span, "", "", "", self.memory.last_id)
        most = self._store.rows(
            f"SELECT max(number) FROM events WHERE kind = 'count' AND label = ? AND {condition}",
            (label, *values),
        )[0][0]
        if most and (best is None or most > best.number):
            best = self._store.records(
                f"kind = 'count' AND label = ? AND number = ? AND {condition} ORDER BY t1_ns DESC LIMIT 1",
                (label, most, *values),
            )[0]
        if best is None:  # too short for a stretch of its own
            return swept(self._times(subject, span), span, self.things(subject, span, limit=1))
        return best.number, best

    def total_s(self, subject: Subject, span: Span = EVER) -> float:
        """Return for how long at least one was there, in seconds."""
        if subject.colour or subject.place or len(subject.labels) != 1:
            return covered_s(self._times(subject, span), span)
        label = subject.labels[0]
        condition, values = where("count", span, "", "", "", self.memory.last_id)
        total = self._store.rows(
            "SELECT sum(min(t1_ns, ?) - max(t0_ns, ?)) FROM events "
            f"WHERE kind = 'count' AND label = ? AND {condition}",
            (span.end_ns, span.begin_ns, label, *values),
        )[0][0]
        lasting = [one for one in self.lasting("count", label) if touches(one, span, "")]
        return (total or 0) / NS_PER_S + covered_s([(one.begin_ns, one.end_ns) for one in lasting], span)

    def _times(self, subject: Subject, span: Span) -> list[tuple[int, int]]:
        """Return when what is asked about was there, the newest `MOST_SWEPT` of it."""
        found = [
            (one.begin_ns, one.end_ns)
            for one in self.lasting("thing")
            if is_of(one, subject) and touches(one, span, "")
        ]
        condition, values = where("thing", span, subject.colour, subject.place, "", self.memory.last_id)
        for label in subject.labels or (None,):
            named = ("label = ? AND ", (label,)) if label is not None else ("", ())
            sql = f"SELECT t0_ns, t1_ns FROM events WHERE kind = 'thing' AND {named[0]}{condition}"
            found += self._store.rows(f"{sql} ORDER BY t1_ns DESC LIMIT {MOST_SWEPT}", (*named[1], *values))
        return found

    def labels(self, span: Span = EVER) -> list[tuple[str, int, int]]:
        """Return each label that was seen, how often, and when it ended last; the newest first."""
        condition, values = where("thing", span, "", "", "", self.memory.last_id)
        found = {
            label: (count, end_ns)
            for label, count, end_ns in self._store.rows(
                "SELECT label, count(*), max(t1_ns) FROM events INDEXED BY events_end "
                f"WHERE kind = 'thing' AND {condition} GROUP BY label",
                values,
            )
        }
        for one in self.lasting("thing"):
            if touches(one, span, ""):
                count, end_ns = found.get(one.label, (0, 0))
                found[one.label] = count + 1, max(end_ns, one.end_ns)
        return sorted(((label, *said) for label, said in found.items()), key=lambda one: -one[2])

    def count(self, kind: Kind, span: Span = EVER, limit: int = -1) -> int:
        """Return how many records of a kind touch a span; no more than `limit` are counted."""
        condition, values = where(kind, span, "", "", "", self.memory.last_id)
        here = [one for one in self.lasting(kind) if touches(one, span, "")]
        some = f"SELECT 1 FROM events WHERE kind = ? AND {condition} LIMIT {limit}"
        found = self._store.rows(f"SELECT count(*) FROM ({some})", (kind, *values))
        return int(found[0][0]) + len(here)

    def search(
        self, words: Iterable[str], span: Span = EVER, kinds: Sequence[Kind] = (), limit: int = 5
    ) -> list[Record]:
        """Return records whose text has all of some words, in any of their forms, the newest first."""
        sought = " ".join(f'"{word}"' for text in words for word in re.findall(r"\w+", text))
        if not sought:
            return []
        among = f"kind IN ({', '.join('?' * len(kinds))})" if kinds else "kind <> 'watched'"
        low, high = self._ids(span)
        rows = self._store.rows(
            "SELECT events.id FROM words JOIN events ON events.id = words.rowid "
            "WHERE words MATCH ? AND words.rowid BETWEEN ? AND ? AND +t0_ns <= ? AND +t1_ns >= ? "
            f"AND {among} ORDER BY words.rowid DESC LIMIT {limit}",
            (sought, low, high, span.end_ns, span.begin_ns, *kinds),
        )
        ids = [which for (which,) in rows]
        if not ids:
            return []
        return self._store.records(f"id IN ({', '.join('?' * len(ids))}) ORDER BY id DESC", ids)

    def _ids(self, span: Span) -> tuple[int, int]:
        """Return between which ids records of a span lie: about in the order in which they ended."""
        low, high = 0, self.memory.last_id
        if span.begin_ns > 0:
            found = self._store.rows(
                "SELECT id FROM events WHERE t1_ns >= ? ORDER BY t1_ns LIMIT 1", (span.begin_ns,)
            )
            low = found[0][0] - ID_SLACK if found else 0
        if span.end_ns < self.now_ns:
            found = self._store.rows(
                "SELECT id FROM events WHERE t1_ns >= ? ORDER BY t1_ns LIMIT 1", (span.end_ns,)
            )
            high = min(high, found[0][0] + ID_SLACK) if found else high
        return low, high

    def picture(self, record: Record) -> int | None:
        """Return the number of the kept picture that shows a record best: its end before its begin."""
        margin_ns = NS_PER_S if record.end_ns - record.begin_ns < NS_PER_S else 0
        found = self._store.rows(
            "SELECT id FROM pictures WHERE at_ns BETWEEN ? AND ? AND id <= ? ORDER BY at_ns DESC LIMIT 1",
            (record.begin_ns - margin_ns, record.end_ns + margin_ns, self.memory.last_picture),
        )
        return int(found[0][0]) if found else None
