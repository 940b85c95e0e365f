"""Which records a question is about: as SQL for those that are kept, as Python for those that last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from realtime.core.clock import NS_PER_S

from .asked import Edge
from .places import is_in
from .records import Kind, Record
from .spans import Span
from .subjects import Subject

_PLACES = {
    "left": ("left",),
    "right": ("right",),
    "top": ("at the top", "upper"),
    "bottom": ("at the bottom", "lower"),
}
_PLACES["middle"] = ("in the middle",)


def where(
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


def touches(record: Record, span: Span, edge: Edge) -> bool:
    """Tell whether a record is of a span: touches it, or began or ended in it."""
    if edge == "appeared":
        return span.begin_ns <= record.begin_ns <= span.end_ns
    if edge == "left":
        return False  # it is still there
    return record.begin_ns <= span.end_ns and record.end_ns >= span.begin_ns


def newest(record: Record) -> tuple[bool, int]:
    """Sort what lasts before what is over, and later ends before earlier ones."""
    return not record.is_open, -record.end_ns


def is_of(record: Record, subject: Subject) -> bool:
    """Tell whether a record is of what is asked about."""
    return (
        (not subject.labels or record.label in subject.labels)
        and (not subject.colour or record.colour == subject.colour)
        and (not subject.place or any(is_in(box, subject.place) for box in (record.first_box, record.box)))
    )


def swept(times: Sequence[tuple[int, int]], span: Span, shown: Sequence[Record]) -> tuple[int, Record | None]:
    """Return how many of some stretches overlap at most, and one record to show for it."""
    changes = [(max(begin_ns, span.begin_ns), 1) for begin_ns, _ in times]
    changes += [(end_ns, -1) for _, end_ns in times]
    number = most = 0
    for _, by in sorted(changes):
        number += by
        most = max(most, number)
    return most, (shown[0] if shown and most else None)


def covered_s(times: Iterable[tuple[int, int]], span: Span) -> float:
    """Return how long at least one of some stretches holds."""
    covered_ns, until_ns = 0, 0
    for first_ns, last_ns in sorted(times):
        begin_ns, end_ns = max(first_ns, span.begin_ns, until_ns), min(last_ns, span.end_ns)
        if end_ns > begin_ns:
            covered_ns += end_ns - begin_ns
            until_ns = end_ns
    return covered_ns / NS_PER_S
