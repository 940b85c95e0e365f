"""Where a thing was at which time, from where it came, where it went, and how it moved in between."""

from __future__ import annotations

from .places import is_in, phrase, place_of
from .reading import Reading
from .records import Box, Record
from .spans import Span
from .subjects import Subject

MOST = 60
"""Records that are looked at one by one, the newest."""


def stretches(record: Record, reading: Reading) -> list[tuple[int, int, Box | None]]:
    """Return when it lay where: begin, end, box; what lies between two of them is a movement."""
    found: list[tuple[int, int, Box | None]] = []
    since_ns = record.begin_ns
    for move in moves_of(record, reading):
        found.append((since_ns, move.begin_ns, move.first_box))
        since_ns = move.end_ns
    return [*found, (since_ns, max(record.end_ns, since_ns), record.box)]


def moves_of(record: Record, reading: Reading) -> list[Record]:
    """Return the movements of a thing, the first one first."""
    span = Span(record.begin_ns, record.end_ns)
    moves = reading.records("moved", (record.label,), span, limit=MOST)
    return sorted((one for one in moves if one.thing == record.thing), key=lambda one: one.begin_ns)


def place_at(record: Record, at_ns: int, reading: Reading) -> str:
    """Say where a thing was at a moment within its record."""
    before: Box | None = None
    for begin_ns, end_ns, box in stretches(record, reading):
        if at_ns < begin_ns:
            return f"on its way from the {place_of(before)} to the {place_of(box)}"
        if at_ns <= end_ns:
            return phrase(place_of(box))
        before = box
    return phrase(place_of(record.box))


def were_in(subject: Subject, span: Span, reading: Reading) -> list[Record]:
    """Return the records of things that lay in the place that is asked about at some time of the span."""
    found = reading.things(subject, span, limit=MOST)
    return [
        one
        for one in found
        if any(
            is_in(box, subject.place) and begin_ns <= span.end_ns and end_ns >= span.begin_ns
            for begin_ns, end_ns, box in stretches(one, reading)
        )
    ]


def here(subject: Subject, reading: Reading) -> list[Record]:
    """Return what is there now, at the place that is asked about if there is one."""
    found = [one for one in reading.things(subject, limit=200) if one.is_open]
    return [one for one in found if not subject.place or is_in(one.box, subject.place)]
