"""What is remembered: one record for everything that happened or lasted.

Times in this folder are nanoseconds since 1970, since monotonic ones mean nothing after a restart; the engine
(memory.py) turns the one into the other at its door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from realtime.core.clock import NS_PER_S

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of width and height."""

Kind = Literal["thing", "moved", "count", "heard", "cut", "motion", "zone", "command", "notice", "watched"]
"""thing: one was there. moved: it moved, then lay still. count: so many of a label were there at a time.
heard: somebody spoke. motion: the camera, or something, moved. zone: what zones and lines told. command:
what was said or set to steer. watched: somebody told of things, or of anything, without a gap."""


@dataclass(frozen=True, slots=True)
class Record:
    """Hold one event. What still lasts ends at the moment up to which it is known."""

    kind: Kind
    begin_ns: int
    end_ns: int
    label: str = ""
    """Kind of thing, as the detector calls it; of a motion who moved; of a watch what was told of."""
    thing: int = 0
    """The tracker's number; it means nothing in another run."""
    first_box: Box | None = None
    box: Box | None = None
    """Where it was first and last."""
    colour: str = ""
    confidence: float = 1.0
    number: int = 0
    """Of a count: how many."""
    text: str = ""
    """In words, for the index."""
    is_open: bool = False
    """Whether it still lasts."""
    id: int = 0

    @property
    def lasted_s(self) -> float:
        return (self.end_ns - self.begin_ns) / NS_PER_S


COLUMNS = "kind, t0_ns, t1_ns, label, thing, box0, box, colour, confidence, number, text"
"""In the order of `row_of` and `record_of`, which expects the id before them."""


def row_of(record: Record) -> tuple[object, ...]:
    """Return the columns of a record."""
    return (
        record.kind,
        record.begin_ns,
        record.end_ns,
        record.label,
        record.thing,
        _written(record.first_box),
        _written(record.box),
        record.colour,
        round(record.confidence, 3),
        record.number,
        record.text,
    )


def record_of(row: Sequence[object]) -> Record:
    """Return the record that `row_of` made columns of; the first column is its id."""
    which, kind, begin_ns, end_ns, label, thing, first, box, colour, confidence, number, text = row
    return Record(
        kind,  # type: ignore[arg-type]
        begin_ns,  # type: ignore[arg-type]
        end_ns,  # type: ignore[arg-type]
        str(label),
        thing,  # type: ignore[arg-type]
        _read(first),
        _read(box),
        str(colour),
        float(confidence),  # type: ignore[arg-type]
        number,  # type: ignore[arg-type]
        str(text),
        id=which,  # type: ignore[arg-type]
    )


def _written(box: Box | None) -> str | None:
    return None if box is None else " ".join(f"{side:.4g}" for side in box)


def _read(text: object) -> Box | None:
    if text is None:
        return None
    left, top, right, bottom = map(float, str(text).split())
    return left, top, right, bottom
