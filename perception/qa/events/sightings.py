"""What is told of boxes, turned into things that come, stay and go.

A detector flickers. So a thing counts once it was seen several times over a while, sure enough on average,
and is gone once it was missing for longer than gaps last. Both are told with the time at which they began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from realtime.core.clock import NS_PER_S

from .counting import Counting
from .moving import Moving
from .places import area, middle, overlap, phrase, place_of, way
from .records import Box, Record


@dataclass(frozen=True, slots=True)
class Rules:
    """Say what counts as a thing that is there."""

    least_times: int = 3
    least_s: float = 0.4
    least_score: float = 0.45
    """On average."""
    gone_s: float = 1.5
    """Missing for longer means gone; at least three times what usually lies between two tellings."""
    near: float = 0.15
    """A thing of the same label so near (share of the picture) takes the place of one that is missing."""


@dataclass(slots=True)
class Track:
    """Hold what is known of one thing that may be there."""

    thing: int
    label: str
    begin_ns: int
    seen_ns: int
    first_box: Box
    box: Box
    velocity: tuple[float, float] = (0.0, 0.0)
    times: int = 0
    scores: float = 0.0
    is_sure: bool = False
    colours: Counter[str] = field(default_factory=Counter)
    """Votes, by how sure each was."""
    samples: int = 0
    sampled_ns: int = 0
    moving: Moving = field(default_factory=Moving)

    @property
    def score(self) -> float:
        return self.scores / max(self.times, 1)

    @property
    def colour(self) -> tuple[str, float]:
        """Return what most votes say, and the share of them that does; "" while nobody knows."""
        if self.samples < 2:
            return "", 0.0
        name, votes = self.colours.most_common(1)[0]
        share = votes / max(sum(self.colours.values()), 1e-9)
        return (name, share) if share >= 0.5 else ("", 0.0)

    def at(self, when_ns: int) -> Box:
        """Return where it is at a moment near `seen_ns`."""
        passed_s = (when_ns - self.seen_ns) / NS_PER_S
        dx, dy = self.velocity[0] * passed_s, self.velocity[1] * passed_s
        return self.box[0] + dx, self.box[1] + dy, self.box[2] + dx, self.box[3] + dy

    def record(self, *, is_open: bool) -> Record:
        """Return it as a record that ends when it was seen last."""
        colour = self.colour[0]
        first, last = phrase(place_of(self.first_box)), phrase(place_of(self.box))
        text = f"{colour} {self.label} {last if first == last else f'{first}, then {last}'}".strip()
        return Record(
            "thing", self.begin_ns, self.seen_ns, self.label, self.thing, self.first_box, self.box,
            colour, min(self.score, 1.0), text=text, is_open=is_open,
        )  # fmt: skip


class Sightings:
    """Follow the things of one stream."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self.tracks: dict[int, Track] = {}
        self._counting = Counting()
        self._seen_ns = 0
        self._gap_s = 0.0
        self.began: list[Track] = []
        """What became sure with the last telling."""

    @property
    def gone_ns(self) -> int:
        """How long something must be missing to be gone."""
        return round(max(self._rules.gone_s, 3 * self._gap_s) * NS_PER_S)

    def see(self, things: Iterable[Mapping[str, Any]], at_ns: int, *, steady: bool = True) -> list[Record]:
        """Take the things of a telling; return what ended. `steady`: whether the camera holds still."""
        if at_ns < self._seen_ns:
            return []
        found = self.pass_time(at_ns)  # nobody told of anything for too long
        if self._seen_ns:
            gap_s = (at_ns - self._seen_ns) / NS_PER_S
            self._gap_s += (min(gap_s, 10.0) - self._gap_s) * (0.2 if self._gap_s else 1.0)
        self._seen_ns = at_ns
        self.began = []
        told = [one for one in map(_told, things) if one is not None]
        here = {which for which, *_ in told}
        for which, label, score, box, velocity in told:
            track = self.tracks.get(which)
            if track is None or track.label != label:
                if track is not None:
                    found += self._end(track)
                track = self._adopted(which, label, box, here) or Track(which, label, at_ns, at_ns, box, box)
                self.tracks[which] = track
            track.box, track.velocity, track.seen_ns = box, velocity, at_ns
            track.times, track.scores = track.times + 1, track.scores + score
            found += self._moved(track, steady)
            if not track.is_sure and self._is_enough(track):
                track.is_sure = True
                self.began.append(track)
                self._counting.begin(label, track.begin_ns)
        return found + self.pass_time(at_ns)

    def pass_time(self, now_ns: int) -> list[Record]:
        """Return what is gone by now."""
        found: list[Record] = []
        for track in list(self.tracks.values()):
            patience_ns = self.gone_ns if track.is_sure else self.gone_ns // 2
            if now_ns - track.seen_ns > patience_ns:
                found += self._end(track)
        return found + self._counting.settle(now_ns - self.gone_ns - NS_PER_S)

    def end_all(self) -> list[Record]:
        """Return all that was there, as gone: another scene begins, or nobody watches any more."""
        found = [record for track in list(self.tracks.values()) for record in self._end(track)]
        return found + self._counting.settle(self._seen_ns + self.gone_ns)

    def lasting(self) -> list[Record]:
        """Return what is there now, moves now, and how many of each label there are."""
        found: list[Record] = []
        for track in self.tracks.values():
            if track.is_sure:
                found.append(track.record(is_open=True))
                if track.moving.began is not None:
                    began_ns, first = track.moving.began
                    found.append(
                        _movement(track, (began_ns, first), (track.seen_ns, track.box), is_open=True)
                    )
        return found + self._counting.lasting(self._seen_ns)

    def forget(self, begin_ns: int, end_ns: int, now_ns: int) -> None:
        """Let what is there have begun after a span of time; all of it is new if that reaches up to now."""
        self._counting.reset()
        for which, track in list(self.tracks.items()):
            if track.begin_ns <= end_ns and track.seen_ns >= begin_ns:
                if end_ns >= min(now_ns, track.seen_ns):
                    del self.tracks[which]
                    continue
                track.begin_ns, track.first_box = end_ns + 1, track.box
                track.colours.clear()
                track.samples = 0
                track.moving.reset()
            if track.is_sure:
                self._counting.begin(track.label, track.begin_ns)

    def is_hidden(self, track: Track) -> bool:
        """Tell whether a smaller thing lies before the middle of this one."""
        x, y = middle(track.box)
        return any(
            other is not track
            and other.box[0] < x < other.box[2]
            and other.box[1] < y < other.box[3]
            and area(other.box) < area(track.box)
            for other in self.tracks.values()
            if other.seen_ns == self._seen_ns
        )

    def _is_enough(self, track: Track) -> bool:
        rules = self._rules
        lasted_s = (track.seen_ns - track.begin_ns) / NS_PER_S
        return (
            track.times >= rules.least_times
            and lasted_s >= rules.least_s
            and track.score >= rules.least_score
        )

    def _adopted(self, which: int, label: str, box: Box, here: set[int]) -> Track | None:
        """Return the track of a thing that is missing and could be this one, under its new number."""
        near = [
            (overlap(track.box, box), track)
            for track in self.tracks.values()
            if track.label == label and track.thing not in here and self._is_near(track.box, box)
        ]
        if not near:
            return None
        track = max(near, key=lambda one: one[0])[1]
        del self.tracks[track.thing]
        track.thing = which
        return track

    def _is_near(self, one: Box, other: Box) -> bool:
        (x0, y0), (x1, y1) = middle(one), middle(other)
        return overlap(one, other) > 0.2 or max(abs(x1 - x0), abs(y1 - y0)) < self._rules.near

    def _moved(self, track: Track, steady: bool) -> list[Record]:
        if not steady:  # everything moves in the picture then, and nothing need have moved
            track.moving.reset()
            return []
        done = track.moving.see(track.box, track.seen_ns)
        return [_movement(track, *done)] if done and track.is_sure else []

    def _end(self, track: Track) -> list[Record]:
        del self.tracks[track.thing]
        if not track.is_sure:
            return []
        self._counting.end(track.label, track.seen_ns)
        done = track.moving.over()
        return [*([_movement(track, *done)] if done else []), track.record(is_open=False)]


def _told(one: Mapping[str, Any]) -> tuple[int, str, float, Box, tuple[float, float]] | None:
    """Read one thing of an event; None for one without a box of finite numbers."""
    box = one.get("box") or ()
    numbers = [float(side) for side in box]
    if len(numbers) != 4 or not all(abs(side) < 1e3 for side in numbers):  # no NaN passes either
        return None
    left, top, right, bottom = numbers
    vx, vy = one.get("velocity") or (0.0, 0.0)
    label = " ".join(str(one["name"]).casefold().split())
    return int(one["id"]), label, float(one.get("score", 1.0)), (left, top, right, bottom), (vx, vy)


def _movement(
    track: Track, began: tuple[int, Box], ended: tuple[int, Box], *, is_open: bool = False
) -> Record:
    (began_ns, first), (ended_ns, last) = began, ended
    colour = track.colour[0]
    text = f"{colour} {track.label} moved {way(first, last)}".strip()
    return Record(
        "moved", began_ns, ended_ns, track.label, track.thing, first, last,
        colour, min(track.score, 1.0), text=text, is_open=is_open,
    )  # fmt: skip
