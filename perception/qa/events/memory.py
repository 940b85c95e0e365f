"""The engine "events": remember what a session tells and answer from it, without any model.

What came is written by one thread, `push_frame`, `note` and `forget`. After each of them a snapshot is
ready, an immutable value that `snapshot` only hands out; a question is answered from it and from the records
up to its id.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any

from perception.qa.base import Answer, EngineCard
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame

from .album import Pictures
from .answering import answer
from .keeping import Limits, forget, keep_within
from .reading import Memory, Reading
from .records import Record
from .schema import NAME
from .sightings import Rules
from .store import Store
from .writer import Writer

CARD = EngineCard(
    "events",
    "event memory",
    "Remembers what detectors, trackers and recognisers told, with times; knows nothing else.",
)
NOTED_NS = 5 * NS_PER_S
"""What lasts is written down so often, so that a sudden end loses no more."""
LOOK_NS = NS_PER_S // 11
"""From a picture that was looked at to the next one, at least."""
LIMITED_NS = 20 * NS_PER_S
"""Limits are looked at so often."""


def anchor_now_ns() -> int:
    """Return wall time less monotonic time, at this moment."""
    return time.time_ns() - time.monotonic_ns()


class EventMemory:
    """Remember one stream. A `QAEngine[Memory]`."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        anchor_ns: int | None = None,
        limits: Limits | None = None,
        rules: Rules | None = None,
        pictures: Pictures | None = None,
        names: Iterable[str] = (),
        zone: tzinfo | None = None,
        report: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        """Open the memory; without `path`, a folder, nothing is written to disk.

        `anchor_ns` is what turns `Stamp.captured_ns` into nanoseconds since 1970; by default it is measured.
        `names` are labels that the detector can tell apart, where its id does not say that. `report` is told
        when a damaged file was set aside. Raises ConfigError for a folder that cannot be used.
        """
        self._offset_ns = anchor_now_ns() if anchor_ns is None else anchor_ns
        self._limits = limits or Limits()
        self._zone = zone
        self._names = frozenset(name.casefold() for name in names)
        self._store = Store(None if path is None else path / NAME, report)
        self._writer = Writer(rules, pictures)
        self._lock = threading.Lock()
        """Around writing; asking needs none."""
        self._hidden: list[tuple[int, int]] = []
        """Spans that were forgotten since the engine began, for snapshots that are older."""
        self._noted_ns = self._limited_ns = 0
        self._looked_ns = -LOOK_NS
        self._is_closed = False
        self._newest = Memory()
        self._published(self._known_before_ns())

    @property
    def card(self) -> EngineCard:
        return CARD

    def push_frame(self, frame: Frame) -> None:
        """Look at colours, and keep a small picture now and then; of 25 pictures a second it looks at ten.

        Raises EngineError for a full disk.
        """
        if 0 <= frame.stamp.captured_ns - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = frame.stamp.captured_ns
        with self._lock:
            records, pictures = self._writer.frame(frame, frame.stamp.captured_ns + self._offset_ns)
            self._keep(records, pictures)

    def note(self, event: Mapping[str, Any], at_ns: int) -> None:
        """Remember what was told. Raises EngineError when the disk is full."""
        with self._lock:
            self._keep(self._writer.note(event, at_ns + self._offset_ns, self._offset_ns))

    def snapshot(self) -> Memory:
        """Return what is remembered at this moment."""
        return self._newest

    def ask(self, text: str, memory: Memory) -> Iterator[Answer]:
        """Answer at once: the one part is final."""
        hidden = tuple(self._hidden[memory.era :])
        yield answer(text, Reading(self._store, memory, hidden), CARD.name, self._offset_ns, self._zone)

    def picture(self, number: int) -> bytes | None:
        """Return the JPEG of a kept picture, 160 pixels wide; None when there is none (any more)."""
        found = self._store.rows("SELECT jpeg FROM pictures WHERE id = ?", (number,))
        return bytes(found[0][0]) if found else None

    def picture_at(self, at_ns: int) -> int | None:
        """Return the number of the kept picture nearest to a moment, at most two seconds from it."""
        wall_ns = at_ns + self._offset_ns
        found = self._store.rows(
            "SELECT id FROM pictures WHERE at_ns BETWEEN ? AND ? ORDER BY abs(at_ns - ?) LIMIT 1",
            (wall_ns - 2 * NS_PER_S, wall_ns + 2 * NS_PER_S, wall_ns),
        )
        return int(found[0][0]) if found else None

    def knows(self, label: str) -> bool | None:
        """Tell whether what sees can tell a label apart; None where that is not known. For `condition_of`."""
        return Reading(self._store, self._newest).knows(label)

    def can_tell(self, names: Iterable[str]) -> None:
        """Hear which labels the detector can tell apart, for one whose id does not say that."""
        with self._lock:
            self._names = frozenset(name.casefold() for name in names)
            self._published(self._newest.known_ns)

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        """Delete what touches a span, in the file as well; a moment that is not there yet counts as now."""
        with self._lock:
            known_ns = self._writer.known_ns
            begin = begin_ns + self._offset_ns if begin_ns else 0
            end = max(known_ns, self._newest.known_ns) if end_ns is None else end_ns + self._offset_ns
            lasted = [one for one in self._writer.lasting() if one.begin_ns <= end and one.end_ns >= begin]
            before = self._writer.forget(begin, end)
            self._hidden.append((begin, end))
            try:
                gone = forget(self._store, begin, end)
            finally:
                self._published(known_ns)
            self._store.write(before)
            self._published(
                self._known_before_ns() if self._writer.known_ns <= end and begin == 0 else known_ns
            )
            return gone + sum(one.kind in ("thing", "moved", "motion") for one in lasted)

    def close(self) -> None:
        """Write down what lasts, and let go. Twice does no harm."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                if self._store.path is not None:
                    self._store.write(self._writer.close())
                    self._store.note_lasting(())
            finally:
                self._store.close()

    def _keep(self, records: list[Record], pictures: list[tuple[int, bytes]] | None = None) -> None:
        self._store.write(records, pictures or ())
        now_ns = self._writer.known_ns
        if now_ns - self._noted_ns >= NOTED_NS:
            self._noted_ns = now_ns
            self._store.note_lasting(self._writer.lasting())
        if now_ns - self._limited_ns >= LIMITED_NS:
            self._limited_ns = now_ns
            keep_within(self._store, self._limits, now_ns)
        self._published(now_ns)

    def _published(self, known_ns: int) -> None:
        """Make the snapshot of this moment."""
        store, writer = self._store, self._writer
        self._newest = Memory(
            store.last_id,
            store.last_picture,
            known_ns,
            writer.lasting(),
            writer.detector,
            self._offset_ns,
            len(self._hidden),
            self._names,
        )

    def _known_before_ns(self) -> int:
        """Return the newest moment that an earlier run knew of; 0 for none."""
        return int(self._store.rows("SELECT coalesce(max(t1_ns), 0) FROM events")[0][0])
