"""How many of a label are there at the same time, as stretches of time with a number each.

That something came or went is known only after a while, with the time at which it did. So the stretches are
told with a delay, when nothing can change them any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from realtime.core.clock import NS_PER_S

from .records import Record

SHORTEST_NS = round(0.3 * NS_PER_S)
"""A number that holds for less is the handing over of a thing from one track to another, and not told."""


@dataclass(slots=True)
class _Line:
    number: int = 0
    since_ns: int = 0
    settled_ns: int = 0
    """No change before this can come any more."""
    changes: list[tuple[int, int]] = field(default_factory=list)
    """Times, and by how much the number changes then."""


class Counting:
    """Count the things of each label."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def begin(self, label: str, at_ns: int) -> None:
        """Note that one more is there since then."""
        self._change(label, at_ns, 1)

    def end(self, label: str, at_ns: int) -> None:
        """Note that one fewer is there since then."""
        self._change(label, at_ns, -1)

    def settle(self, until_ns: int) -> list[Record]:
        """Return the stretches that ended before a moment, and forget them."""
        found: list[Record] = []
        for label, line in list(self._lines.items()):
            found += _walked(label, line, until_ns)
            line.settled_ns = max(line.settled_ns, until_ns)
            if not line.number and not line.changes:
                del self._lines[label]
        return found

    def lasting(self, now_ns: int) -> list[Record]:
        """Return the stretches that are not settled yet; the newest of each label may still last."""
        found: list[Record] = []
        for label, line in self._lines.items():
            here = replace(line, changes=list(line.changes))
            found += _walked(label, here, now_ns)
            if here.number > 0 and now_ns > here.since_ns:
                found.append(_record(label, here, now_ns, is_open=True))
        return found

    def reset(self) -> None:
        """Forget all numbers."""
        self._lines.clear()

    def _change(self, label: str, at_ns: int, by: int) -> None:
        line = self._lines.setdefault(label, _Line())
        line.changes.append((max(at_ns, line.settled_ns), by))


def _walked(label: str, line: _Line, until_ns: int) -> Iterator[Record]:
    """Go along the changes up to a moment and give the stretches between them."""
    line.changes.sort()
    while line.changes and line.changes[0][0] <= until_ns:
        at_ns, by = line.changes.pop(0)
        if line.number > 0 and at_ns - line.since_ns >= SHORTEST_NS:
            yield _record(label, line, at_ns)
        line.since_ns = at_ns
        line.number += by


def _record(label: str, line: _Line, end_ns: int, *, is_open: bool = False) -> Record:
    return Record("count", line.since_ns, end_ns, label, number=line.number, is_open=is_open)
