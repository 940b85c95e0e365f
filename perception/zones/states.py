"""What is remembered of zones, lines and kinds, so that noise at a border or a flicker says nothing.

Two things steady them. A border is broad: only a point that lies further than `border` beyond it speaks for
the other side. And what it says has to last `settle_ns`, told with the time at which it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .geometry import Floats, area, crossing, depths, distances, girth

IN, OUT = "in", "out"


@dataclass(frozen=True, slots=True)
class Rules:
    """Say how steady something has to be."""

    border: float
    settle_ns: int
    patience_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold the things of one picture that count."""

    at_ns: int
    ids: Sequence[int]
    names: Sequence[str]
    points_N2: Floats


@dataclass(frozen=True, slots=True)
class Change:
    """Say what came of one thing, and when that began."""

    what: str
    id: int
    name: str
    at_ns: int
    direction: str = ""
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Track:
    """Hold what is known of one thing at one place."""

    name: str
    seen_ns: int
    is_inside: bool = False
    since_ns: int | None = None
    """When what is not told yet began."""
    was_missed: bool = False
    point_2: Floats | None = None
    net: int = 0
    """How often it crossed the line and this is not told, less than 0 the other way."""

    def see(self, name: str, at_ns: int, settle_ns: int) -> None:
        """Note that it is in sight; a doubt from before a longer gap is dropped."""
        if self.was_missed and at_ns - self.seen_ns > settle_ns:
            self.since_ns = None
        self.name, self.seen_ns, self.was_missed = name, at_ns, False

    def doubt(self, at_ns: int | None) -> None:
        """Note that something speaks against what is told, from the first time on; None: nothing does."""
        self.since_ns = at_ns if at_ns is None or self.since_ns is None else self.since_ns

    def settled_ns(self, at_ns: int, settle_ns: int) -> int | None:
        """Return since when it is otherwise than told, if that has lasted."""
        lasted = self.since_ns is not None and at_ns - self.since_ns >= settle_ns
        return self.since_ns if lasted else None


def _lost(tracks: dict[int, _Track], seen: Seen, patience_ns: int) -> Iterator[tuple[int, _Track]]:
    """Take out and give the things that have been out of sight for too long."""
    here = set(seen.ids)
    for which, track in list(tracks.items()):
        if which not in here:
            track.was_missed = True
            if seen.at_ns - track.seen_ns > patience_ns:
                del tracks[which]
                yield which, track


class Area:
    """Know who is in an area."""

    def __init__(self, polygon_K2: Floats) -> None:
        self._polygon = polygon_K2
        self._room = area(polygon_K2) / girth(polygon_K2) / 2
        """A border is at most this broad: something has to fit into the area."""
        self._tracks: dict[int, _Track] = {}

    @property
    def inside(self) -> int:
        """How many things are in it."""
        return sum(track.is_inside for track in self._tracks.values())

    def update(self, seen: Seen, rules: Rules) -> Iterator[Change]:
        """Take what is seen now, and give who came in or went out."""
        border = min(rules.border, self._room)
        depth = depths(seen.points_N2, self._polygon) if len(seen.ids) else ()
        for which, name, deep in zip(seen.ids, seen.names, depth, strict=True):
            track = self._tracks.setdefault(which, _Track(name, seen.at_ns))
            track.see(name, seen.at_ns, rules.settle_ns)
            if abs(deep) >= border:
                is_other = (deep > 0) != track.is_inside
                track.doubt(seen.at_ns if is_other else None)
            since_ns = track.settled_ns(seen.at_ns, rules.settle_ns)
            if since_ns is not None:
                track.is_inside, track.since_ns = not track.is_inside, None
                yield Change("entered" if track.is_inside else "left", which, name, since_ns)
        for which, track in _lost(self._tracks, seen, rules.patience_ns):
            if track.is_inside:
                left_ns = track.seen_ns if track.since_ns is None else track.since_ns
                yield Change("left", which, track.name, left_ns)


class Border:
    """Count who crosses a line, and in which direction: "in" is towards one's right hand along it."""

    def __init__(self, begin_2: Floats, end_2: Floats) -> None:
        self._begin, self._end = begin_2, end_2
        self._tracks: dict[int, _Track] = {}
        self.counts = {IN: 0, OUT: 0}

    def update(self, seen: Seen, rules: Rules) -> Iterator[Change]:
        """Take what is seen now, and give who has crossed."""
        away: Floats | tuple[()] = ()
        if len(seen.ids):
            away = distances(seen.points_N2, self._begin[None], self._end[None])[:, 0]
        for which, name, point, far in zip(seen.ids, seen.names, seen.points_N2, away, strict=True):
            track = self._tracks.setdefault(which, _Track(name, seen.at_ns))
            track.see(name, seen.at_ns, rules.settle_ns)
            if track.point_2 is not None:
                track.net += crossing(track.point_2, point, self._begin, self._end)
            track.point_2 = point
            if not track.net:
                track.doubt(None)
            elif far >= rules.border:
                track.doubt(seen.at_ns)
            if track.settled_ns(seen.at_ns, rules.settle_ns) is not None:
                yield from self._told(which, track)
        for which, track in _lost(self._tracks, seen, rules.patience_ns):
            if track.since_ns is not None:
                yield from self._told(which, track)

    def _told(self, which: int, track: _Track) -> Iterator[Change]:
        direction, at_ns = (IN if track.net > 0 else OUT), track.since_ns or 0
        for _ in range(abs(track.net)):
            self.counts[direction] += 1
            yield Change("crossed", which, track.name, at_ns, direction, dict(self.counts))
        track.net, track.since_ns = 0, None


class Presence:
    """Know how many things of a kind are there, whoever they are: a new number for one thing is no news."""

    def __init__(self) -> None:
        self._told: dict[int, int] = {}
        """Those that were told of, and when they were seen last."""
        self._more: tuple[int, int] | None = None
        """Since when there are more than were told of, and the fewest since then."""
        self._fewer: tuple[int, int] | None = None

    def update(self, seen: Seen, name: str, rules: Rules) -> Iterator[Change]:
        """Take what is seen now of one kind, and give who appeared or is gone."""
        at_ns, count, told = seen.at_ns, len(seen.ids), len(self._told)
        since_ns, fewest = self._more or (at_ns, count)
        self._more = (since_ns, min(fewest, count)) if count > told else None
        since_ns, most = self._fewer or (at_ns, count)
        self._fewer = (since_ns, max(most, count)) if count < told else None
        self._follow(seen)
        if self._more and at_ns - self._more[0] >= rules.settle_ns:
            since_ns, fewest = self._more
            self._more = None
            for which in sorted(set(seen.ids) - self._told.keys(), reverse=True)[: fewest - told]:
                self._told[which] = at_ns
                yield Change("appeared", which, name, since_ns, counts={"now": len(self._told)})
        if self._fewer and at_ns - self._fewer[0] > rules.patience_ns:
            since_ns, most = self._fewer
            self._fewer = None
            missing = sorted(self._told.keys() - set(seen.ids), key=lambda which: self._told[which])
            for which in missing[: told - most]:
                last_ns = self._told.pop(which)
                yield Change("gone", which, name, last_ns, counts={"now": len(self._told)})

    def _follow(self, seen: Seen) -> None:
        """Let new numbers take the place of those that are missing."""
        for which in set(seen.ids) & self._told.keys():
            self._told[which] = seen.at_ns
        strangers = sorted(set(seen.ids) - self._told.keys())
        missing = sorted(self._told.keys() - set(seen.ids))
        for old, new in zip(missing, strangers, strict=False):
            del self._told[old]
            self._told[new] = seen.at_ns


def as_points(points: Sequence[Sequence[float]]) -> Floats:
    """Return points as an array, (K, 2)."""
    return np.array(points, np.float64).reshape(-1, 2)
