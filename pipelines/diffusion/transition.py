"""A change that takes time: prompt and seed move from what is seen now to what is wanted, frame by frame.

Time is the frames' own (their presentation time), so a file is painted the same at any speed. What counts is
the time between two frames, so the pace may be changed on the way, and a source that begins anew at 0 only
holds a change up for one frame. A change on the way begins at the point that was reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from .blend import Blend, mixed_words
from .embedding import Words
from .noise import Seeds

T = TypeVar("T")
SHARES = 32
"""A share is rounded to a 32nd: each new embedding costs the network's time embedding once."""


@dataclass(slots=True)
class Way(Generic[T]):
    """Hold where a change began, where it goes, and how far it has come."""

    begin: T
    goal: T
    seen_s: float
    """Time of the newest frame."""
    gone: float = 1.0
    """Share of the way that is behind, 0 to 1."""

    def go(self, now_s: float, seconds: float) -> None:
        """Move on to the time of a frame; times that run backwards count as no time."""
        passed_s = max(now_s - self.seen_s, 0.0)
        self.seen_s = now_s
        self.gone = 1.0 if seconds <= 0 else min(self.gone + passed_s / seconds, 1.0)
        if self.gone >= 1.0:
            self.begin = self.goal

    @property
    def share(self) -> float:
        """Return how much of the way is behind, in 32nds."""
        return round(SHARES * self.gone) / SHARES


class Transition:
    """Follow the words and seeds that are wanted, in the time that a change may take."""

    def __init__(self) -> None:
        self._words: Way[Words] | None = None
        self._seeds: Way[int] | None = None
        self._shown: tuple[float, Words] | None = None
        """The newest mixture and its share: made once, since it is a key for what is computed of it."""

    def words(self, goal: Words, now_s: float, seconds: float, how: Blend = "linear") -> Words:
        """Return the words for a frame of presentation time `now_s`."""
        way = self._words
        if way is None:
            way = self._words = Way(goal, goal, now_s)
        way.go(now_s, seconds)
        if goal is not way.goal:
            way = self._words = Way(self._at(way, how), goal, now_s, 1.0 if seconds <= 0 else 0.0)
            self._shown = None
        return self._at(way, how)

    def seeds(self, goal: Seeds, now_s: float, seconds: float) -> Seeds:
        """Return the seeds for a frame; a blend that is set by hand is taken as it is.

        Between two seeds there is room for no third: a change on the way to another one turns round where it
        goes back, and else begins at the nearer of the two.
        """
        way = self._seeds
        if way is None or goal.share > 0:
            way = self._seeds = Way(goal.seed, goal.seed, now_s)
        way.go(now_s, seconds)
        if goal.share > 0:
            return goal
        if goal.seed != way.goal:
            if goal.seed == way.begin:
                begin, gone = way.goal, 1.0 - way.gone
            else:
                begin, gone = (way.goal if way.gone >= 0.5 else way.begin), 0.0
            way = self._seeds = Way(begin, goal.seed, now_s, 1.0 if seconds <= 0 else gone)
        return Seeds(way.begin, goal.seed, way.share) if way.share < 1.0 else Seeds(goal.seed, goal.seed)

    def reset(self) -> None:
        """Forget where changes are; the next frame is painted with what is wanted."""
        self._words = self._seeds = self._shown = None

    def _at(self, way: Way[Words], how: Blend) -> Words:
        if way.share >= 1.0 or way.begin is way.goal:
            return way.goal
        if self._shown is None or self._shown[0] != way.share:
            self._shown = (way.share, mixed_words(way.begin, way.goal, way.share, how))
        return self._shown[1]
