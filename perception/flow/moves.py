"""Tell when the camera, or something before it, starts and stops moving, and of cuts: once each.

A jolt is no start and a pause between two steps no stop, so each must have lasted a while. The time told is
that at which it began.
"""

from __future__ import annotations

from typing import Any

from realtime.core.clock import NS_PER_MS

Event = dict[str, Any]
START_MS, STOP_MS = 150.0, 600.0
"""How long something must move, or rest, before it is told."""
CUTS_APART_MS = 500.0
"""A flickering film is one cut, not ten."""
REST = 0.5
"""What falls below this share of what makes it a motion is at rest; in between all stays as it is."""


class Switch:
    """Know whether one thing moves."""

    def __init__(self) -> None:
        self.is_on = False
        self._since_ns: int | None = None
        """When it began to look otherwise."""

    def update(self, level: float, enough: float, at_ns: int) -> int | None:
        """Take a level at a time; return when it turned, if it is sure now that it did."""
        otherwise = level < REST * enough if self.is_on else level >= enough
        if not otherwise:
            self._since_ns = None
            return None
        if self._since_ns is None:
            self._since_ns = at_ns
        lasted_ms = (at_ns - self._since_ns) / NS_PER_MS
        if lasted_ms < (STOP_MS if self.is_on else START_MS):
            return None
        turned_ns, self._since_ns, self.is_on = self._since_ns, None, not self.is_on
        return turned_ns


class Moves:
    """Follow one stream."""

    def __init__(self) -> None:
        self.camera, self.things = Switch(), Switch()
        self._cut_ns: int | None = None

    def update(
        self, at_ns: int, camera: float | None, things: float, enough: float, enough_share: float
    ) -> tuple[Event, ...]:
        """Take the camera's speed (heights a second; None: not known) and which share moves against it."""
        found = []
        if camera is not None:
            turned_ns = self.camera.update(camera, enough, at_ns)
            if turned_ns is not None:
                found.append(_event("camera", "the camera", self.camera.is_on, turned_ns))
        turned_ns = self.things.update(things, enough_share, at_ns)
        if turned_ns is not None:
            found.append(_event("things", "something", self.things.is_on, turned_ns))
        return tuple(found)

    def cut(self, at_ns: int) -> tuple[Event, ...]:
        """Tell of another scene, unless one was told of a moment ago."""
        before_ns, self._cut_ns = self._cut_ns, at_ns
        if before_ns is not None and at_ns - before_ns < CUTS_APART_MS * NS_PER_MS:
            return ()
        return ({"what": "cut", "at_ns": at_ns, "says": "another scene"},)


def _event(who: str, name: str, is_on: bool, at_ns: int) -> Event:
    what = "started moving" if is_on else "stopped moving"
    return {"what": what, "who": who, "at_ns": at_ns, "says": f"{name} {what}"}
