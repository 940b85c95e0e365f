"""Turn what a session tells into records: things, movements, words, cuts, zones, commands. Pure.

The events are those that page and record get (app/taps.py); what is told twice, once on its own and once in
the scene that it belongs to, counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.frame import Frame

from .album import Album, Pictures
from .colours import colour_of
from .records import Record
from .sightings import Rules, Sightings
from .watching import ANY, SEEN, Watching

WATCHED_GAP_NS = 30 * NS_PER_S
SEEN_GAP_NS = 10 * NS_PER_S
SAMPLE_NS = NS_PER_S // 2
SAMPLES = 15
SAMPLES_A_FRAME = 8
"""Colours are looked at twice a second for each thing, at most fifteen times, eight things a picture."""
MAX_CHARS = 2_000
"""Of a text that is kept."""


class Writer:
    """Follow one stream."""

    def __init__(self, rules: Rules | None = None, pictures: Pictures | None = None) -> None:
        self.sightings = Sightings(rules)
        self._album = Album(pictures)
        self._seen = Watching(SEEN, SEEN_GAP_NS)
        self._any = Watching(ANY, WATCHED_GAP_NS)
        self._told: deque[tuple[Any, ...]] = deque(maxlen=64)
        self._motions: dict[str, int] = {}
        """Who moves: the camera, something; and since when."""
        self.detector = ""
        self.known_ns = 0

    def note(self, event: Mapping[str, Any], at_ns: int, offset_ns: int) -> list[Record]:
        """Take an event; return what is over. Times within it are `offset_ns` behind those of `at_ns`."""
        found = self._pass(at_ns)
        kind = event.get("type")
        if kind == "seen":
            found += self._see(event, at_ns)
        if kind in ("seen", "motion"):
            for one in event.get("happened", ()):
                found += self._happened(one, at_ns, offset_ns)
        elif kind == "result":
            found += self._happened(event, at_ns, offset_ns)
        elif kind == "heard":
            found += _heard(event, at_ns)
        elif kind == "command":
            found += _commanded(event, at_ns)
        elif kind == "settings":
            found += _set(event, at_ns)
        elif kind in ("notice", "error"):
            text = str(event.get("message", ""))[:MAX_CHARS]
            found.append(Record("notice", at_ns, at_ns, str(kind), text=text))
        return found

    def frame(self, frame: Frame, at_ns: int) -> tuple[list[Record], list[tuple[int, bytes]]]:
        """Take a picture; return what is over, and the small pictures that are to be kept."""
        found = self._pass(at_ns)
        sampled = 0
        for track in self.sightings.tracks.values():
            is_due = at_ns - track.sampled_ns >= SAMPLE_NS and track.samples < SAMPLES
            if not is_due or abs(at_ns - track.seen_ns) > SAMPLE_NS or self.sightings.is_hidden(track):
                continue
            voted = colour_of(frame.pixels, track.at(at_ns), track.label)
            if voted is not None:
                track.colours[voted[0]] += voted[1]  # type: ignore[assignment]
                track.samples, track.sampled_ns = track.samples + 1, at_ns
            sampled += 1
            if sampled == SAMPLES_A_FRAME:
                break
        return found, self._album.see(frame.pixels, at_ns)

    def lasting(self) -> tuple[Record, ...]:
        """Return what goes on at this moment."""
        motions = [
            Record("motion", since_ns, self.known_ns, who, text=f"{who} moves", is_open=True)
            for who, since_ns in self._motions.items()
        ]
        return (*self.sightings.lasting(), *motions, *self._seen.lasting(), *self._any.lasting())

    def close(self) -> list[Record]:
        """Return all that goes on, as over."""
        watched = [*self._seen.lasting(), *self._any.lasting()]
        motions = [Record("motion", since, self.known_ns, who) for who, since in self._motions.items()]
        return [*self.sightings.end_all(), *motions, *watched]

    def forget(self, begin_ns: int, end_ns: int) -> list[Record]:
        """Let go of what is held of a span of time; return spans of watching that lie before it."""
        self.sightings.forget(begin_ns, end_ns, self.known_ns)
        self._album.forget(begin_ns, end_ns)
        self._told.clear()
        self._motions = {
            who: max(since_ns, end_ns) for who, since_ns in self._motions.items() if end_ns < self.known_ns
        }
        return [*self._seen.forget(begin_ns, end_ns), *self._any.forget(begin_ns, end_ns)]

    def _pass(self, at_ns: int) -> list[Record]:
        """Let time pass."""
        found: list[Record] = []
        if self.known_ns and at_ns - self.known_ns > WATCHED_GAP_NS:
            found += [*self.sightings.end_all(), *self._rested(self.known_ns)]
        self.known_ns = max(self.known_ns, at_ns)
        found += self._any.see(at_ns)
        return found + self._ended(self.sightings.pass_time(self.known_ns - SEEN_GAP_NS))

    def _see(self, event: Mapping[str, Any], at_ns: int) -> list[Record]:
        self.detector = str(event.get("detector", ""))
        before = self._seen.see(at_ns, 5 * self.sightings.gone_ns)
        found = self.sightings.see(event.get("things", ()), at_ns, steady="the camera" not in self._motions)
        for track in self.sightings.began:
            self._album.wish(at_ns)
            del track
        return before + self._ended(found)

    def _ended(self, records: list[Record]) -> list[Record]:
        """Wish for a picture of each thing that went or came to rest."""
        for record in records:
            if record.kind in ("thing", "moved"):
                self._album.wish(record.end_ns)
        return records

    def _happened(self, one: Mapping[str, Any], at_ns: int, offset_ns: int) -> list[Record]:
        what = str(one.get("what", ""))
        when_ns = int(one["at_ns"]) + offset_ns if "at_ns" in one else at_ns
        known = (what, one.get("id"), one.get("zone"), one.get("line"), one.get("who"), when_ns)
        if known in self._told:
            return []
        self._told.append(known)
        says = str(one.get("says", what))[:MAX_CHARS]
        if what == "cut":
            self._album.wish(at_ns)
            ended = self._ended(self.sightings.end_all())
            return [*ended, Record("cut", when_ns, when_ns, text=f"cut: {says}")]
        if what in ("started moving", "stopped moving"):
            who = {"camera": "the camera"}.get(str(one.get("who")), "something")
            if what == "started moving":
                self._motions.setdefault(who, when_ns)
                return []
            return self._rested(when_ns, (who,))
        where = str(one.get("zone") or one.get("line") or "")
        self._album.wish(when_ns)
        label, which = str(one.get("name", "")).casefold(), int(one.get("id") or 0)
        text = says if where in says else f"{says} {where}"
        return [Record("zone", when_ns, when_ns, label, which, colour="", number=0, text=text)]

    def _rested(self, at_ns: int, who: Iterable[str] = ()) -> list[Record]:
        """Return the motions of some, or of all, as over."""
        found = []
        for one in list(who) or list(self._motions):
            since_ns = self._motions.pop(one, None)
            if since_ns is not None:
                found.append(Record("motion", since_ns, max(at_ns, since_ns), one, text=f"{one} moved"))
        return found


def _heard(event: Mapping[str, Any], at_ns: int) -> list[Record]:
    """Return final words, at the time at which they were said."""
    text = str(event.get("text", "")).strip()[:MAX_CHARS]
    if event.get("turn", "end") != "end" or not text:
        return []
    end_ns = at_ns - round(float(event.get("delay_ms") or 0.0) * NS_PER_MS)
    lasted_s = max(float(event.get("end_s", 0.0)) - float(event.get("begin_s", 0.0)), 0.0)
    sure = event.get("confidence")
    confidence = 1.0 if sure is None else min(max(float(sure), 0.0), 1.0)
    return [Record("heard", end_ns - round(lasted_s * NS_PER_S), end_ns, confidence=confidence, text=text)]


def _commanded(event: Mapping[str, Any], at_ns: int) -> list[Record]:
    if event.get("outcome") != "understood":
        return []
    text = str(event.get("text", ""))[:MAX_CHARS]
    refused = " (refused)" if event.get("refused") else ""
    sure = min(max(float(event.get("confidence") or 1.0), 0.0), 1.0)
    return [Record("command", at_ns, at_ns, "said", confidence=sure, text=text + refused)]


def _set(event: Mapping[str, Any], at_ns: int) -> list[Record]:
    changes = event.get("changes") or {k: v for k, v in event.items() if k not in ("type", "settings")}
    changes = event.get("settings") or changes
    said = ", ".join(f"{name} to {value}" for name, value in dict(changes).items())[:MAX_CHARS]
    return [Record("command", at_ns, at_ns, "set", text=f"set {said}")] if said else []
