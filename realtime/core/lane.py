"""One thread that serves the stages of many sessions, turn by turn, and the one place that catches any error.

A turn: choose the seat that was served longest ago and wants something; apply its newest config; take its
newest sample, or tick it empty while it still has something in flight; with it those seats whose stages can
share one call; process; book. The thread waits for nothing but work: what a reader has no room for stays at
the seat.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock
from .errors import SessionError, StageError, VitascopeError
from .seat import ERRORS_TO_SWITCH_OFF, Seat
from .stage import Emitted
from .turns import step_back

log = logging.getLogger(__name__)

R = TypeVar("R")
Pair = tuple[Seat, Any]
"""A seat and its sample, or None for a drain tick."""

LOG_INTERVAL_S = 10.0
"""An error of one kind at one seat is logged at most this often."""
STOP_TIMEOUT_S = 10.0
NICENESS = {"see": 10, "hear": 10, "answer": 10}
"""Lanes whose work may be late: what `see` finds is carried on to the moment that it is used at, and words
and answers that come a little later are still read."""


class Lane:
    """Serve seats fairly on one thread, which starts with the first of them."""

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        self.name = name
        self._clock: Clock = clock or MonotonicClock()
        self._changed = threading.Condition()
        self._seats: list[Seat] = []  # the one served longest ago comes first
        self._busy: list[Seat] = []
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def attach(self, *seats: Seat) -> None:
        """Serve `seats`, whose stages are open, from now on. Raises SessionError once the lane is closed."""
        with self._changed:
            if self._is_closing:
                raise SessionError(f"Lane {self.name} is closed; no stage can run on it.", permanent=True)
            for seat in seats:
                seat.wake = self.wake
            self._seats += seats
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"lane-{self.name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def detach(self, seat: Seat, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Serve `seat` no more; wait until its stage is left. False: it was not within `timeout_s`.

        Called on the lane's own thread (by a callback) it does not wait: no stage is inside then.
        """
        with self._changed:
            if seat in self._seats:
                self._seats.remove(seat)
            if threading.current_thread() is self._thread:
                return True
            return self._changed.wait_for(lambda: seat not in self._busy, timeout_s)

    def is_idle(self, seat: Seat) -> bool:
        """Tell whether all that went into `seat` has come out."""
        with self._changed:
            return seat not in self._busy and not seat.has_work

    def wake(self) -> None:
        """Look again whether a seat wants a turn. From any thread; never blocks for long."""
        with self._changed:
            self._changed.notify_all()

    def close(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the thread after the present turn. False: it did not end within `timeout_s`."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
            return not thread.is_alive()
        return True

    def _run(self) -> None:
        step_back(NICENESS.get(self.name, 0))
        while (leader := self._choose()) is not None:
            fault = _caught(lambda: self._turn(leader))
            with self._changed:
                served, self._busy = self._busy, []
                self._changed.notify_all()
            if isinstance(fault, Exception):  # not a stage's: those are booked in the turn
                self._log(leader, fault, "a turn failed")
            for seat in served:
                seat.on_turn()

    def _choose(self) -> Seat | None:
        with self._changed:
            while not self._is_closing:
                for seat in self._seats:
                    if seat.wants_turn:
                        self._serve(seat)
                        return seat
                self._changed.wait()
            return None

    def _serve(self, seat: Seat) -> None:
        self._busy.append(seat)
        self._seats.remove(seat)
        self._seats.append(seat)

    def _turn(self, leader: Seat) -> None:
        config = leader.take_config()
        if config is not None:
            self._configure(leader, config[0])
        leader.flush()
        pairs = self._gather(leader)
        if leader.is_off:
            leader.pass_through(pairs[0][1] if pairs else None)
        elif pairs:
            self._process(pairs)
        for seat in self._busy:
            self._tell_complaints(seat)

    def _gather(self, leader: Seat) -> list[Pair]:
        """Take the leader's sample or drain tick, and those of the seats that can share its call."""
        with self._changed:
            if leader.is_stuck or not leader.has_work or leader not in self._seats:
                return []
            mates = [] if leader.is_off else [seat for seat in self._seats if seat.may_join(leader)]
            for seat in mates:
                if seat is not leader:
                    self._serve(seat)
            return [(seat, seat.take()) for seat in self._busy]

    def _process(self, pairs: Sequence[Pair]) -> None:
        begin_ns = self._clock.now_ns()
        answers = _caught(lambda: _call(pairs))
        cost_ms = (self._clock.now_ns() - begin_ns) / NS_PER_MS / len(pairs)
        if isinstance(answers, Exception):
            for seat, sample in pairs:
                self._book(seat, answers, seat.fail(sample, answers, cost_ms))
            return
        for (seat, sample), emitted in zip(pairs, answers, strict=True):
            error = seat.give(sample, emitted, cost_ms)
            if error is not None:
                self._book(seat, error, error)

    def _book(self, seat: Seat, fault: Exception, error: StageError) -> None:
        """Log an error, and switch the stage off after too many of them."""
        self._log(seat, fault, str(error))
        if seat.errors_in_row < ERRORS_TO_SWITCH_OFF:
            return
        seat.switch_off()
        _caught(seat.stage.reset)
        self._tell(
            seat,
            StageError(
                f"{seat.name} failed {seat.errors_in_row} times in a row and was switched off; "
                f"{'what comes in passes through unchanged' if seat.passes else 'it gives nothing now'}. "
                f"The last error: {error.message}",
                stage=seat.name,
                stamp=error.stamp,
                hint=error.hint or "Change a setting to try again, or start a new session.",
                permanent=True,
            ),
        )

    def _configure(self, seat: Seat, config: Any) -> None:
        fault = _caught(lambda: seat.stage.configure(config))
        if not isinstance(fault, Exception):
            seat.configured()
            return
        self._log(seat, fault, f"{seat.name} refused a config: {fault}")
        if not isinstance(fault, VitascopeError):
            fault = StageError(
                f"{seat.name} could not take its new settings: {type(fault).__name__}: {fault}",
                stage=seat.name,
                hint="The old ones stay.",
                permanent=True,
            )
        self._tell(seat, fault)

    def _tell_complaints(self, seat: Seat) -> None:
        complaints, seat.complaints = seat.complaints, []
        for full in complaints:
            if self._log(seat, full, str(full)):
                self._tell(seat, full)

    def _tell(self, seat: Seat, error: VitascopeError) -> None:
        tell = seat.on_error
        if tell is None:
            return
        fault = _caught(lambda: tell(seat.name, error))
        if isinstance(fault, Exception):
            self._log(seat, fault, "telling of an error failed")

    def _log(self, seat: Seat, fault: Exception, says: str) -> bool:
        """Log a fault with its traceback unless one of its kind was logged a short while ago."""
        now_ns = self._clock.now_ns()
        last_ns = seat.logged_ns.get(type(fault))
        if last_ns is not None and now_ns - last_ns < LOG_INTERVAL_S * NS_PER_S:
            return False
        seat.logged_ns[type(fault)] = now_ns
        log.error("session %s, lane %s: %s", seat.session, self.name, says, exc_info=fault)
        return True


class Lanes:
    """Hold the lanes of a process by name; sessions share them."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lanes: dict[str, Lane] = {}

    def get(self, name: str) -> Lane:
        """Return the lane of that name, made at first use."""
        with self._lock:
            return self._lanes.setdefault(name, Lane(name, self._clock))

    def close(self) -> None:
        """End all threads."""
        with self._lock:
            lanes = tuple(self._lanes.values())
        for lane in lanes:
            lane.close()


def _call(pairs: Sequence[Pair]) -> list[list[Emitted]]:
    """Run one stage, or several with their common function; check the shape of what they return."""
    (seat, sample), *others = pairs
    if not others:
        answers = [list(seat.stage.process(sample))]
    else:
        assert seat.spec.together is not None
        answers = [list(one) for one in seat.spec.together([(one.stage, item) for one, item in pairs])]
    if len(answers) != len(pairs):
        raise StageError(
            f"{len(pairs)} samples went into one call and {len(answers)} answers came out.", stage=seat.name
        )
    for one in (one for answer in answers for one in answer):
        if not isinstance(one, Emitted):
            raise StageError(f"{seat.name} gave a {type(one).__name__}, not an Emitted.", stage=seat.name)
    return answers


def on_lanes_terms(name: str, work: Callable[[], R]) -> R:
    """Run `work` on a thread of lane `name`'s niceness and return, or raise, what it does.

    For libraries that make threads of their own when they are loaded: those inherit it, and would otherwise
    do a lane's work at everybody else's cost.
    """
    done: list[R | Exception] = []

    def run() -> None:
        step_back(NICENESS.get(name, 0))
        done.append(_caught(work))

    thread = threading.Thread(target=run, name=f"for-lane-{name}", daemon=True)
    thread.start()
    thread.join()
    if isinstance(done[0], Exception):
        raise done[0]
    return done[0]


def _caught(work: Callable[[], R]) -> R | Exception:
    """Run `work`; return what it raises. The one broad except of the house; callers tell of the fault."""
    try:
        return work()
    except Exception as fault:
        return fault
