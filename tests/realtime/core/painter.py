"""A painter that only pretends to work: its clock jumps by what the work would take."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from realtime.core.clock import NS_PER_MS, ManualClock
from realtime.core.governor import Governor, Plan
from realtime.core.metrics import Histogram


@dataclass
class InFlight:
    place: int
    captured_ms: float
    steps_left: int


@dataclass
class Painter:
    """Serve sessions whose cameras give a picture every `interval_ms`, as a governor plans it."""

    cost_ms: Callable[[int], float]
    """Of one call of the engine, by rows, on a machine that does nothing else."""
    rest_ms: Callable[[int], float] = lambda pictures: 3.0 + 3.0 * pictures
    wanted_steps: int = 4
    rows_per_step: int = 1
    sessions: int = 1
    interval_ms: float = 33.0
    max_age_ms: float | None = 250.0
    load: float = 1.0
    jitter: float = 0.05
    before_ms: float = 0.0
    """Time from the camera to the painter, of which the governor is not told."""

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.governor = Governor(self.clock)
        self.ages: list[tuple[float, float]] = []
        self.plans: list[tuple[float, Plan]] = []
        self.slow_calls: dict[int, float] = {}
        """Which call of the engine takes so many times as long."""
        self._measured = Histogram("age_ms", window_s=2.0, clock=self.clock)
        self._rng = np.random.default_rng(0)
        self._in_flight: list[InFlight] = []
        self._taken_ms: dict[int, float] = {}
        self._tick = self._calls = 0

    @property
    def now_ms(self) -> float:
        return self.clock.now_ns() / NS_PER_MS

    def run(self, seconds: float) -> float:
        """Paint for some time; return when it began."""
        began_ms = self.now_ms
        while self.now_ms < began_ms + 1000 * seconds:
            self._turn()
        return began_ms

    def ages_ms(self, since_ms: float) -> list[float]:
        return [age for at, age in self.ages if at >= since_ms]

    def p95_ms(self, since_ms: float) -> float:
        return float(np.quantile(self.ages_ms(since_ms), 0.95))

    def changes(self, since_ms: float = 0.0) -> list[float]:
        """When the plan became another one."""
        work = [(at, (plan.steps, plan.skip_every, plan.way)) for at, plan in self.plans]
        return [at for (_, before), (at, after) in pairwise(work) if at >= since_ms and before != after]

    @property
    def plan(self) -> Plan:
        return self.plans[-1][1]

    def _turn(self) -> None:
        plan = self.governor.plan(
            "unet",
            wanted_steps=self.wanted_steps,
            rows_per_step=self.rows_per_step,
            sessions=self.sessions,
            interval_ms=self.interval_ms,
            max_age_ms=self.max_age_ms,
            rest_key="vae",
            age_p95_ms=self._measured.quantile(0.95) if self._measured.rate_hz() > 10 else None,
        )
        self.plans.append((self.now_ms, plan))
        self._in_flight = [one for one in self._in_flight if one.place < self.sessions]
        fresh = self._admit(plan)
        if not self._in_flight:
            self.clock.advance(ns=round(self.interval_ms / 7 * NS_PER_MS))
            return
        done: list[InFlight] = []
        while self._in_flight:
            self._call()
            done += [one for one in self._in_flight if not one.steps_left]
            self._in_flight = [one for one in self._in_flight if one.steps_left]
            if plan.way == "stream":
                break
        if pictures := max(fresh, len(done)):
            self._spend("vae", pictures, self.rest_ms(pictures) * self.load)
        for one in done:
            age_ms = self.now_ms - one.captured_ms + self.before_ms
            self.ages.append((self.now_ms, age_ms))
            self._measured.observe(age_ms)

    def _admit(self, plan: Plan) -> int:
        self._tick += 1
        fresh = 0
        for place in range(self.sessions):
            phase_ms = place * self.interval_ms / 5
            beats = math.floor((self.now_ms - phase_ms) / self.interval_ms)
            newest_ms = phase_ms + beats * self.interval_ms
            if newest_ms > self._taken_ms.get(place, -1.0):
                self._taken_ms[place] = newest_ms
                if plan.admits(self._tick, place):
                    self._in_flight.append(InFlight(place, newest_ms, plan.steps))
                    fresh += 1
        return fresh

    def _call(self) -> None:
        rows = len(self._in_flight) * self.rows_per_step
        self._calls += 1
        slow = self.slow_calls.get(self._calls, 1.0)
        self._spend("unet", rows, self.cost_ms(rows) * self.load * slow)
        for one in self._in_flight:
            one.steps_left -= 1

    def _spend(self, key: str, rows: int, ms: float) -> None:
        ms *= 1.0 + self.jitter * float(self._rng.uniform(-1, 1))
        self.clock.advance(ms=ms)
        self.governor.observe(key, rows, ms)
