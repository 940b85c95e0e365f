"""How answers say times, lists and records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime.core.clock import NS_PER_S

from .places import phrase, place_of
from .records import Record
from .spans import lasting
from .words import a, many

NOW_S = 1.0
"""What is younger than that is "just now"."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold an answer before it is dressed: the records that it rests on are looked up for pictures later."""

    text: str
    records: Sequence[Record] = field(default_factory=tuple)
    observed: bool = True
    confidence: float | None = None
    """None: the mean of the records'."""


def ago(at_ns: int, now_ns: int) -> str:
    """Return "2 min 10 s ago", "just now"."""
    seconds = (now_ns - at_ns) / NS_PER_S
    return "just now" if seconds < NOW_S else f"{lasting(seconds)} ago"


def long(record: Record) -> str:
    """Return how long a record lasted."""
    return "less than 1 s" if record.lasted_s < 0.95 else lasting(record.lasted_s)


def then(record: Record, now_ns: int) -> str:
    """Say when a thing was there: "until 2 min ago, for 14 s, on the left"."""
    where = phrase(place_of(record.box))
    where = f", {where}" if where else ""
    if record.is_open:
        return f"it is there now and has been for {long(record)}{where}"
    return f"until {ago(record.end_ns, now_ns)}, for {long(record)}{where}"


def listed(parts: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def named(record: Record) -> str:
    """Return a record's thing with its colour: "red cup"; people have none, their clothes do."""
    colour = record.colour if record.label != "person" else ""
    return f"{colour} {record.label}".strip()


def shown(record: Record) -> str:
    """Return what a moment says of a record."""
    if record.kind == "thing":
        where = place_of(record.box)
        return f"{a(named(record))}, {where}" if where else a(named(record))
    if record.kind == "count":
        return f"{record.number} {record.label if record.number == 1 else many(record.label)}"
    return record.text


def times(number: int) -> str:
    """Return "once", "twice", "5 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def sentence(text: str) -> str:
    """Return a text with a capital letter and one full stop."""
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!", '"')) else f"{text}."
