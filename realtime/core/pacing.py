"""When to give the next sample: pure rules, told the time, that say how long to wait or what to leave out.

Two sources have a pace. A generated one has only a rate, so what is late moves everything behind it; a
recorded one has times of its own, which it keeps as long as it can. Neither ever gives a bunch of samples at
once to make up for time lost: a live graph would forget all but one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .clock import NS_PER_MS, NS_PER_S

LATE_NS = 1 * NS_PER_S
"""Further behind than this, a recording's schedule starts anew instead of hurrying after it."""
FREEZE_NS = 250 * NS_PER_MS
"""A late sample is left out only if one was given within this time: a slow machine shows some of them."""


class Metronome:
    """Beat at a rate; a late beat makes all later ones late by as much."""

    def __init__(self, rate_hz: float, now_ns: int) -> None:
        if not rate_hz > 0:
            raise ValueError(f"a rate is more than 0 a second, got {rate_hz}")
        self._interval_ns = NS_PER_S / rate_hz
        self._due_ns = float(now_ns)

    @property
    def due_ns(self) -> int:
        """Clock time of the next beat."""
        return round(self._due_ns)

    def beat(self, now_ns: int) -> None:
        """Note that the beat that was due is given now."""
        self._due_ns = (now_ns if now_ns > self.due_ns else self._due_ns) + self._interval_ns


@dataclass(frozen=True, slots=True)
class Turn:
    """Say what to do with one sample of a recording."""

    due_ns: int
    """Clock time at which to give it; past when it is late."""
    late_ms: float
    """How late it is already; 0.0 when it is not."""
    skip: bool = False
    """Leave it out: it is late, and another was given a moment ago."""
    restarted: bool = False
    """The schedule was so late that it starts anew with this sample."""


class Playback:
    """Map a recording's media time to clock time, from its first sample on."""

    def __init__(self, *, late_ns: int = LATE_NS, freeze_ns: int = FREEZE_NS) -> None:
        self._late_ns = late_ns
        self._freeze_ns = freeze_ns
        self._start_ns: int | None = None
        self._given_ns: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there was a first sample, so that there is a schedule."""
        return self._start_ns is not None

    def due_ns(self, media_ns: int) -> int:
        """Return the clock time of a media time. Raises ValueError before the first sample."""
        if self._start_ns is None:
            raise ValueError("a recording has no schedule before its first sample")
        return self._start_ns + media_ns

    def turn(self, media_ns: int, step_ns: int, now_ns: int) -> Turn:
        """Decide about the sample at `media_ns`, where samples are `step_ns` apart.

        Up to two steps late it is given at once. Later, it is left out unless none was given for `freeze_ns`.
        More than `late_ns` late, it is given at once and the schedule starts anew with it.
        """
        if self._start_ns is None:
            self._start_ns = now_ns - media_ns
        late_ns = max(0, now_ns - self._start_ns - media_ns)
        restarted = late_ns > self._late_ns
        if restarted:
            self._start_ns += late_ns
        is_fresh = self._given_ns is not None and now_ns - self._given_ns < self._freeze_ns
        skip = not restarted and late_ns > 2 * step_ns and is_fresh
        return Turn(self._start_ns + media_ns, late_ns / NS_PER_MS, skip, restarted)

    def given(self, now_ns: int) -> None:
        """Note that a sample is given now."""
        self._given_ns = now_ns
