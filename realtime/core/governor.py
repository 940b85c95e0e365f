"""Keep the age of pictures under a budget by doing less, before age grows, and more again when there is room.

The governor learns what a call costs (`costs.py`) and so knows what age each way to work leads to
(`workload.py`). It takes the most work that keeps the budget, in this order: as many steps as are wanted,
fewer, one; then one step for a part of the pictures only, the sessions that share the engine taking turns.

Hysteresis: a plan stays while it keeps the budget. Less work is planned as soon as it does not, more only
where the budget would be kept with a fifth to spare, and some time after the last change, which doubles each
time that more turned out to be too much. Between two changes of its own there is a `DWELL_NS` at least.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from .clock import NS_PER_S, Clock, MonotonicClock
from .costs import Costs
from .workload import Choice, Way, Wish, choices, outlook

DWELL_NS = 1 * NS_PER_S
"""Least time between two changes, but for those that follow from a new wish."""
PATIENCE_NS = 2 * NS_PER_S
"""Time after a change before more work is planned."""
MOST_PATIENCE_NS = 32 * NS_PER_S
RELAPSE_NS = 6 * NS_PER_S
"""When more work had to be taken back within this time, it was a mistake, and patience doubles."""
SETTLED_NS = 3 * NS_PER_S
"""Measured age must lie above the predicted one for longer than it looks back, or old work would count."""
SURE = 0.8
"""Share of the budget that more work may use, as predicted."""
ROOM = 0.9
"""Share of the budget that less work should use, so that one change is enough."""

Why = Literal["off", "learning", "wanted", "lowered", "least"]
"""Why the plan is what it is: no budget; costs are not known yet; all that is wanted keeps the budget; less
does; or, as far as is known, nothing does, and this is the least work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Say how much to do. The caller obeys from the next picture on."""

    steps: int
    rows: int
    """Rows of a call of the engine, all sessions together, at most."""
    skip_every: int = 1
    """Of so many pictures that it is offered, a session takes one; see `admits`."""
    way: Way = "stream"
    why: Why = "wanted"
    age_ms: float | None = None
    """Predicted age of 95 of 100 pictures; None while nothing is known."""

    def admits(self, tick: int, place: int) -> bool:
        """Tell whether the session at `place` (0, 1, ..) takes a picture at this tick: they take turns."""
        return (tick + place) % self.skip_every == 0

    @property
    def says(self) -> str:
        """The plan in words."""
        work = f"{self.steps} step{'s' * (self.steps > 1)}"
        if self.way == "burst":
            work += " in one go"
        if self.skip_every > 1:
            work += f" for one picture of {self.skip_every}"
        reason = {
            "off": "as wanted; there is no limit of age",
            "learning": "as wanted; what it costs is not known yet",
            "wanted": "as wanted",
            "lowered": "less than wanted, to keep the limit of age",
            "least": "the least work there is, and still too old for the limit",
        }[self.why]
        return f"{work}: {reason}" + (f", {self.age_ms:.0f} ms predicted." if self.age_ms else ".")


@dataclass(slots=True)
class _Course:
    """Where the plans of one key stand."""

    choice: Choice
    wish: Wish
    changed_ns: int
    raised_ns: int | None = None
    raised_for: Wish | None = None
    patience_ns: int = PATIENCE_NS
    overhead_ms: float = 0.0
    """What measured age lies above the predicted one."""
    excess_ms: float = 0.0
    """The least that it did since `excess_ns`."""
    excess_ns: int | None = None


class Governor:
    """Learn costs and plan work. For one thread, the lane's.

    Sessions that share engines share `costs`, and have a governor each: their wishes differ.
    """

    def __init__(self, clock: Clock | None = None, costs: Costs | None = None) -> None:
        self._clock: Clock = clock or MonotonicClock()
        self._costs = costs or Costs(self._clock)
        self._courses: dict[Hashable, _Course] = {}

    def observe(self, key: Hashable, rows: int, ms: float) -> None:
        """Learn from one call. Raises ValueError for no rows or a time that is none."""
        self._costs.observe(key, rows, ms)

    def cost_ms(self, key: Hashable, rows: int) -> float | None:
        """Return what one call would take now; None while less than two calls of one size were seen."""
        return self._costs.cost_ms(key, rows)

    def best_rows(self, key: Hashable, rows: int, *, explore: bool = True) -> tuple[int, ...]:
        """Split `rows` into calls as measured costs have it; see `Costs.best_rows`."""
        return self._costs.best_rows(key, rows, explore=explore)

    def plan(
        self,
        key: Hashable,
        *,
        wanted_steps: int,
        max_age_ms: float | None,
        interval_ms: float,
        rows_per_step: int = 1,
        sessions: int = 1,
        rest_key: Hashable | None = None,
        age_p95_ms: float | None = None,
    ) -> Plan:
        """Return how much to do from now on; cheap enough to be asked at every tick.

        `interval_ms`: from one picture of a session to its next. `rest_key`: the key under which the time of
        encoder and decoder is observed, with pictures as rows. `age_p95_ms`: measured age at the output over
        the last one or two seconds, if there are some twenty pictures in it; what the model cannot know (the
        way to the lane) is learned from it. Raises ValueError for a wish that is none.
        """
        if wanted_steps < 1 or rows_per_step < 1 or sessions < 1 or not interval_ms > 0:
            raise ValueError(
                f"a plan needs a step, a row, a session and an interval, got {wanted_steps} steps of "
                f"{rows_per_step} rows for {sessions} sessions every {interval_ms} ms"
            )
        if max_age_ms is not None and not max_age_ms > 0:
            raise ValueError(f"a plan needs a limit above 0 ms, or none, got {max_age_ms}")
        if max_age_ms is None or self.cost_ms(key, 1) is None:
            self._courses.pop(key, None)
            why: Why = "off" if max_age_ms is None else "learning"
            return Plan(wanted_steps, wanted_steps * rows_per_step * sessions, why=why)
        wish = Wish(key, rest_key, wanted_steps, rows_per_step, sessions, interval_ms, max_age_ms)
        now_ns = self._clock.now_ns()
        course = self._courses.get(key)
        if course is None or course.wish.own != wish.own:
            overhead_ms = course.overhead_ms if course else 0.0
            choice, _ = self._best(wish, "stream", ROOM, overhead_ms)
            course = self._courses[key] = _Course(choice, wish, now_ns, overhead_ms=overhead_ms)
        else:
            course.wish = wish
            self._measure(course, now_ns, age_p95_ms)
            self._steer(course, now_ns)
        return self._told(course)

    def _measure(self, course: _Course, now_ns: int, age_p95_ms: float | None) -> None:
        """Compare the model with the world: believe good news at once, bad news when they last."""
        if age_p95_ms is None:
            return
        excess_ms = max(0.0, age_p95_ms - outlook(self._costs, course.wish, course.choice).age_ms)
        course.overhead_ms = min(course.overhead_ms, excess_ms)
        if course.excess_ns is None:
            course.excess_ns, course.excess_ms = now_ns, excess_ms
        course.excess_ms = min(course.excess_ms, excess_ms)
        if now_ns - course.excess_ns >= SETTLED_NS:
            course.overhead_ms, course.excess_ns = course.excess_ms, None

    def _steer(self, course: _Course, now_ns: int) -> None:
        """Change the choice if it must be, or if more can be done; see the module."""
        wish, at = course.wish, course.choice
        since_ns = now_ns - course.changed_ns
        if outlook(self._costs, wish, at).age_ms + course.overhead_ms > wish.max_age_ms:
            if since_ns < DWELL_NS:
                return
            better, _ = self._best(wish, at.way, ROOM, course.overhead_ms)
            if better == at:
                return
            was_raised = course.raised_ns is not None and now_ns - course.raised_ns < RELAPSE_NS
            if was_raised and course.raised_for == wish:
                course.patience_ns = min(2 * course.patience_ns, MOST_PATIENCE_NS)
            else:
                course.patience_ns = PATIENCE_NS
        else:
            if since_ns < course.patience_ns:
                return
            better, fits = self._best(wish, at.way, SURE, course.overhead_ms)
            ranking = choices(self._costs, wish, at.way, SURE)
            if not fits or (at in ranking and ranking.index(better) >= ranking.index(at)):
                return
            course.raised_ns, course.raised_for = now_ns, wish
        course.choice, course.changed_ns, course.excess_ns = better, now_ns, None

    def _best(self, wish: Wish, way: Way, share: float, overhead_ms: float) -> tuple[Choice, bool]:
        """Return the first choice that keeps `share` of the budget, else all of it, else the last.

        And whether it keeps `share`.
        """
        found = choices(self._costs, wish, way, share)
        ages_ms = [outlook(self._costs, wish, one).age_ms + overhead_ms for one in found]
        for part in (share, 1.0):
            for one, age_ms in zip(found, ages_ms, strict=True):
                if age_ms <= part * wish.max_age_ms:
                    return one, part == share
        return found[-1], False

    def _told(self, course: _Course) -> Plan:
        wish, at = course.wish, course.choice
        seen = outlook(self._costs, wish, at)
        age_ms = seen.age_ms + course.overhead_ms
        why: Why = "wanted" if at.steps == wish.steps and at.skip_every == 1 else "lowered"
        if age_ms > wish.max_age_ms and (at.steps, at.skip_every) == (1, wish.sessions):
            why = "least"
        return Plan(at.steps, seen.rows, at.skip_every, at.way, why, age_ms)
