"""A change that takes time: prompt and seed move from what is seen now to what is wanted, frame by frame.

Time is the frames' own (their presentation time), so a file is painted the same at any speed. A change on the
way begins at the point that was reached.
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
    """Hold where a change began and where it goes."""

    begin: T
    goal: T
    begun_s: float

    def share(self, now_s: float, seconds: float) -> float:
        """Return how much of the way is behind, 0 to 1; times that run backwards count as no time."""
        if seconds <= 0:
            return 1.0
        gone = max(now_s - self.begun_s, 0.0)
        return min(round(SHARES * gone / seconds) / SHARES, 1.0)


class Transition:
    """Follow the words and seeds that are wanted, in the time that a change may take."""

    def __init__(self) -> None:
        self._words: Way[Words] | None = None
        self._seeds: Way[int] | None = None
        self._shown: tuple[float, Words] | None = None
        """The newest mixture and its share: made once, since it is a key for what is computed of it."""

    def words(self, goal: Words, now_s: float, seconds: float, how: Blend = "linear") -> Words:
        """Return the words for a frame of presentation time `now_s`."""
        if self._words is None:
            self._words = Way(goal, goal, now_s)
        elif goal is not self._words.goal:
            self._words = Way(self._at(self._words, now_s, seconds, how), goal, now_s)
            self._shown = None
        return self._at(self._words, now_s, seconds, how)

    def seeds(self, goal: Seeds, now_s: float, seconds: float) -> Seeds:
        """Return the seeds for a frame; a blend that is set by hand is taken as it is."""
        if self._seeds is None or goal.share > 0:
            self._seeds = Way(goal.seed, goal.seed, now_s)
        elif goal.seed != self._seeds.goal:
            reached = self._seeds.share(now_s, seconds)
            nearer = self._seeds.goal if reached >= 0.5 else self._seeds.begin
            self._seeds = Way(nearer, goal.seed, now_s)
        if goal.share > 0:
            return goal
        share = self._seeds.share(now_s, seconds)
        return Seeds(self._seeds.begin, goal.seed, share) if share < 1.0 else Seeds(goal.seed, goal.seed)

    def reset(self) -> None:
        """Forget where changes are; the next frame is painted with what is wanted."""
        self._words = self._seeds = self._shown = None

    def _at(self, way: Way[Words], now_s: float, seconds: float, how: Blend) -> Words:
        share = way.share(now_s, seconds)
        if share >= 1.0 or way.begin is way.goal:
            return way.goal
        if self._shown is None or self._shown[0] != share:
            self._shown = (share, mixed_words(way.begin, way.goal, share, how))
        return self._shown[1]
