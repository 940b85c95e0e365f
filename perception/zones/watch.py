"""Tell what happens: who comes into a zone or leaves it, who crosses a line, and whether a kind is there.

`Watch` is pure: things and a time go in, events come out, and no clock is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perception.kinds import are_of, kinds_of, picked, plain
from perception.scene import Place, Things
from realtime.core.clock import NS_PER_MS

from .config import Line, WatchConfig, Zone, lines_of, zones_of
from .states import Area, Border, Change, Presence, Rules, Seen, as_points

Event = dict[str, Any]


class Watch:
    """Watch one stream. Not for several threads at once."""

    def __init__(self, config: WatchConfig | None = None) -> None:
        self._areas: dict[Zone, Area] = {}
        self._borders: dict[Line, Border] = {}
        self._presences: dict[str, Presence] = {}
        self._last_ns = 0
        self.configure(config or WatchConfig())

    def configure(self, config: WatchConfig) -> None:
        """Watch what these settings say; zones and lines that stay as they are keep what they know."""
        self._config = config
        self._areas = {
            zone: self._areas.get(zone) or Area(as_points(zone.points)) for zone in zones_of(config.zones)
        }
        self._borders = {
            line: self._borders.get(line) or Border(np.array(line.begin), np.array(line.end))
            for line in lines_of(config.lines)
        }
        self._presences = {
            kind: self._presences.get(kind) or Presence() for kind in sorted(kinds_of(config.tell))
        }

    def reset(self) -> None:
        """Forget the stream, with all counts."""
        self._areas, self._borders, self._presences, self._last_ns = {}, {}, {}, 0
        self.configure(self._config)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is watched for."""
        return not (self._areas or self._borders or self._presences)

    def update(self, things: Things, at_ns: int) -> tuple[Event, ...]:
        """Take where the things are at that time, and return what began or ended; times must not go back.

        An event has "what" ("entered", "left", "crossed", "appeared", "gone"), "zone" or "line", "id",
        "name", "at_ns" (when it began, not when it was sure), "says", for lines "direction" and "counts", for
        kinds "count".
        """
        self._last_ns = at_ns = max(at_ns, self._last_ns)
        config = self._config
        rules = Rules(
            config.watch_border, round(config.settle_ms * NS_PER_MS), round(config.patience_ms * NS_PER_MS)
        )
        told: list[Event] = []
        for zone, held in self._areas.items():
            changes = held.update(self._seen(things, at_ns, zone.kinds), rules)
            told += [_event(one, f"{one.what} {zone.name}", zone=zone.name) for one in changes]
        for line, border in self._borders.items():
            for one in border.update(self._seen(things, at_ns, line.kinds), rules):
                more = {"line": line.name, "direction": one.direction, "counts": one.counts}
                told.append(_event(one, f"crossed {line.name}, going {one.direction}", **more))
        for kind, presence in self._presences.items():
            for one in presence.update(self._seen(things, at_ns, (kind,)), kind, rules):
                says = "appeared" if one.what == "appeared" else "is gone"
                told.append(_event(one, says, count=one.counts["now"]))
        return tuple(told)

    def places(self) -> tuple[Place, ...]:
        """Return what is watched in the picture, for those who draw it."""
        areas = [
            Place(zone.name, np.array(zone.points, np.float32), inside=held.inside)
            for zone, held in self._areas.items()
        ]
        borders = [
            Place(line.name, np.array((line.begin, line.end), np.float32), True, counts=dict(border.counts))
            for line, border in self._borders.items()
        ]
        return (*areas, *borders)

    def unknown(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the kinds that are watched for and that a detector of these names cannot see."""
        kinds = [*(zone.kinds for zone in self._areas), *(line.kinds for line in self._borders)]
        chosen = {plain(kind) for some in kinds for kind in some}
        return tuple(sorted((chosen | self._presences.keys()) - {plain(name) for name in names}))

    def _seen(self, things: Things, at_ns: int, kinds: tuple[str, ...]) -> Seen:
        is_placed = np.isfinite(things.xyxy_N4).all(1)
        mine = picked(things, are_of(things, frozenset(map(plain, kinds))) & is_placed)
        boxes = mine.xyxy_N4.astype(np.float64)
        across = (boxes[:, 0] + boxes[:, 2]) / 2
        down = boxes[:, 3] if self._config.watch_point == "foot" else (boxes[:, 1] + boxes[:, 3]) / 2
        names = [mine.names[kind] for kind in mine.kinds_N.tolist()]
        return Seen(at_ns, mine.ids_N.tolist(), names, np.stack([across, down], axis=1))


def _event(change: Change, says: str, **more: Any) -> Event:
    article = "an" if change.name[:1].lower() in "aeiou" else "a"
    return {
        "what": change.what,
        "id": change.id,
        "name": change.name,
        "at_ns": change.at_ns,
        **more,
        "says": f"{article} {change.name} {says}",
    }
