"""A stage's place at its lane: what waits for it, what it owes, how it is doing, and where its results go.

The lane's thread alone calls what changes a seat's books; only `configure`, `add_outlet` and `snapshot` may
come from other threads. A seat never blocks: what a full WAIT channel has no room for stays in
its outlet, the seat takes nothing new until that is gone, and so the pressure reaches the source.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal

from .channel import Channel, Drop
from .clock import Clock, MonotonicClock
from .errors import ChannelFull, StageError, VitascopeError
from .frame import Result, Stamp
from .metrics import Counter, Histogram, StageSnapshot
from .outlet import Outlet
from .stage import Emitted, Stage, StageSpec

ERRORS_TO_SWITCH_OFF = 30
DRAIN_PATIENCE = 8
"""Empty drain ticks in a row after which a stage that still owes results is taken to have kept none. A stage
of n steps has up to n - 1 of them while a sample is in flight; one that skips samples has nothing else."""
STAMPS_REMEMBERED = 1024
PASSED_THROUGH = "passed through"

_NO_CONFIG: Any = object()


class Seat:
    """Hold one stage of one session while its lane serves it; see the module for who may call what."""

    def __init__(
        self,
        name: str,
        stage: Stage[Any],
        spec: StageSpec,
        inbox: Channel[Any],
        *,
        session: str = "local",
        on_error: Callable[[str, VitascopeError], None] | None = None,
        on_turn: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.stage = stage
        self.spec = spec
        self.inbox = inbox
        self.session = session
        self.on_error = on_error
        self.on_turn = on_turn
        self.wake: Callable[[], None] = lambda: None
        self.is_off = False
        """Whether its stage was switched off after too many errors; samples then pass through."""
        self.errors_in_row = 0
        self.complaints: list[ChannelFull] = []
        """Results that a full NEVER channel did not take, for the lane to tell of."""
        self.logged_ns: dict[type, int] = {}
        """When the lane last logged an error of a kind."""
        self._clock: Clock = clock or MonotonicClock()
        self._lock = threading.Lock()
        inbox.on_ready(lambda: self.wake())
        self._config: Any = _NO_CONFIG
        self._outlets: tuple[Outlet, ...] = ()
        self._received: OrderedDict[Stamp, None] = OrderedDict()
        self._owed: dict[Stamp, None] = {}
        self._endangered: set[Stamp] = set()  # in flight while the stage failed: it may have forgotten them
        self._is_draining = False
        self._empty_ticks = 0
        self._spent_ms = 0.0
        self._message = ""
        self._results = Counter("results_total")
        self._noted = Counter("noted_total")
        self._errors = Counter("errors_total")
        self._work_ms = Histogram("work_ms", clock=clock)
        self._wait_ms = Histogram("wait_ms", clock=clock)
        self._age_ms = Histogram("age_ms", clock=clock)

    # From any thread.

    def configure(self, config: Any) -> None:
        """Leave a config for the lane to apply before the next sample; only the newest counts."""
        with self._lock:
            self._config = config
        self.wake()

    def add_outlet(self, channel: Channel[Any], takes: type | None = None) -> None:
        """Bring results from now on to `channel`, until that is closed; see `Outlet`."""
        with self._lock:
            self._outlets = (*self._outlets, Outlet(channel, takes))
        if channel.drop is Drop.WAIT:
            channel.on_room(lambda: self.wake())

    def snapshot(self) -> StageSnapshot:
        """Return the figures."""
        state: Literal["ok", "failing", "passed-through"] = "failing" if self.errors_in_row else "ok"
        return StageSnapshot(
            name=self.name,
            lane=self.spec.lane,
            frames=self._results.value,
            noted=self._noted.value,
            dropped=self.inbox.stats().dropped,
            errors=self._errors.value,
            work_ms_p50=self._work_ms.quantile(0.5),
            work_ms_p95=self._work_ms.quantile(0.95),
            wait_ms_p50=self._wait_ms.quantile(0.5),
            age_ms_p50=self._age_ms.quantile(0.5),
            age_ms_p95=self._age_ms.quantile(0.95),
            rate_hz=self._age_ms.rate_hz(),
            state="passed-through" if self.is_off else state,
            message=self._message,
        )

    # What the lane asks.

    @property
    def passes(self) -> bool:
        """Whether samples pass through once its stage is switched off."""
        return self.spec.passes_when_off and self.spec.gives is self.spec.takes

    @property
    def is_stuck(self) -> bool:
        """Whether results wait for room in a WAIT channel."""
        return any(outlet.is_stuck for outlet in self._outlets)

    @property
    def has_work(self) -> bool:
        """Whether something of what went in has not come out yet."""
        return len(self.inbox) > 0 or self._is_draining or self.is_stuck

    @property
    def has_config(self) -> bool:
        return self._config is not _NO_CONFIG

    @property
    def wants_turn(self) -> bool:
        """Whether the lane's attention would bring anything on."""
        if self.has_config:
            return True
        if self.is_stuck:
            return any(outlet.is_stuck and outlet.has_room for outlet in self._outlets)
        return self.has_work

    def may_join(self, other: Seat) -> bool:
        """Whether both may be served by one `together` call; one that just failed runs alone."""
        mine, its = getattr(self.stage, "group", None), getattr(other.stage, "group", None)
        return (
            self.spec.together is not None
            and self.spec.together is other.spec.together
            and mine is not None
            and mine == its
            and not (self.errors_in_row or other.errors_in_row or self.has_config or self.is_stuck)
            and self.has_work
        )

    # What the lane does, on its thread.

    def take_config(self) -> tuple[Any] | None:
        """Take the newest config that waits, if any."""
        with self._lock:
            config, self._config = self._config, _NO_CONFIG
        return None if config is _NO_CONFIG else (config,)

    def configured(self) -> None:
        """Note that a new config was taken: it gives the stage another chance."""
        self.is_off = False
        self.errors_in_row = 0
        self._message = ""

    def take(self) -> Any | None:
        """Take the next sample and note its stamp; None, when there is none, is a drain tick."""
        taken = self.inbox.poll_timed()
        if taken is None:
            return None
        sample, waited_ms = taken
        self._received[sample.stamp] = self._owed[sample.stamp] = None
        while len(self._received) > STAMPS_REMEMBERED:
            self._owed.pop(self._received.popitem(last=False)[0], None)
        self._is_draining = True
        self._empty_ticks = 0
        self._wait_ms.observe(waited_ms)
        return sample

    def give(self, sample: Any | None, emitted: Sequence[Emitted], cost_ms: float) -> StageError | None:
        """Book what `process(sample)` returned and bring it on; return an error for an unknown stamp."""
        self._spent_ms += cost_ms
        known = [one for one in emitted if self._knows(one.stamp)]
        strangers = [one.stamp for one in emitted if not self._knows(one.stamp)]
        work_ms, self._spent_ms = (self._spent_ms / len(known), 0.0) if known else (0.0, self._spent_ms)
        for one in known:
            self._owed.pop(one.stamp, None)
            self._work_ms.observe(work_ms)
            self._bring(Result(one.stamp, self.name, one.value, work_ms, note=one.note))
        if not self.spec.keeps_samples:
            self._settle(self._endangered)
        elif sample is None:
            self._empty_ticks = 0 if emitted else self._empty_ticks + 1
            if not emitted and (not self._owed or self._empty_ticks >= DRAIN_PATIENCE):
                self._settle(self._endangered)
        if strangers:
            odd = strangers[0]
            said = f"{self.name} gave a result for {odd.source} {odd.seq}, which it never received."
            return self._book_error(StageError(said, stage=self.name, stamp=odd), odd)
        if known or sample is not None:
            self.errors_in_row = 0
            self._message = ""
        return None

    def fail(self, sample: Any | None, fault: Exception, cost_ms: float) -> StageError:
        """Book an error in `process(sample)` and bring it on as the result of the sample it was about."""
        self._spent_ms += cost_ms
        self._endangered = set(self._owed)
        stamp = sample.stamp if sample is not None else next(iter(self._owed), None)
        if isinstance(fault, StageError):
            return self._book_error(fault, stamp)
        said = fault.message if isinstance(fault, VitascopeError) else f"{type(fault).__name__}: {fault}"
        hint = fault.hint if isinstance(fault, VitascopeError) else ""
        error = StageError(f"{self.name} failed: {said}", stage=self.name, stamp=stamp, hint=hint)
        error.__cause__ = fault
        return self._book_error(error, stamp)

    def switch_off(self) -> None:
        """Let samples pass through from now on; those in flight end as errors."""
        self.is_off = True
        self._settle(set(self._owed))

    def pass_through(self, sample: Any | None) -> None:
        """Bring the sample on as its own result where the stage and the types allow it."""
        self._settle(set())
        if sample is not None and self.passes:
            self._bring(Result(sample.stamp, self.name, sample, 0.0, note=PASSED_THROUGH))

    def flush(self) -> None:
        """Bring results on as far as there is room; forget outlets that were closed."""
        for outlet in self._outlets:
            try:
                outlet.flush()
            except ChannelFull as full:
                self._errors.add()
                self._message = str(full)
                self.complaints.append(full)
        if any(outlet.channel.closed for outlet in self._outlets):
            with self._lock:
                self._outlets = tuple(one for one in self._outlets if not one.channel.closed)

    def _settle(self, lost: set[Stamp]) -> None:
        """Expect nothing more of what is in flight; those of it that are `lost` end as errors."""
        for stamp in [one for one in self._owed if one in lost]:
            said = f"{self.name} lost this sample when it failed on another."
            error = StageError(said, stage=self.name, stamp=stamp)
            self._bring(Result(stamp, self.name, None, 0.0, error))
        self._owed.clear()
        self._endangered = set()
        self._is_draining = False

    def _knows(self, stamp: Stamp) -> bool:
        """Whether a sample with this stamp came in, or one so old may have come and been forgotten."""
        if stamp in self._received:
            return True
        oldest = next(iter(self._received), None) if len(self._received) >= STAMPS_REMEMBERED else None
        return oldest is not None and stamp.captured_ns < oldest.captured_ns

    def _book_error(self, error: StageError, stamp: Stamp | None) -> StageError:
        self._errors.add()
        self.errors_in_row += 1
        self._message = str(error)
        if stamp is not None:
            self._owed.pop(stamp, None)
            work_ms, self._spent_ms = self._spent_ms, 0.0
            self._bring(Result(stamp, self.name, None, work_ms, error))
        self._is_draining = bool(self._owed)
        return error

    def _bring(self, result: Result[Any]) -> None:
        if result.error is None:
            self._results.add()
            self._noted.add(bool(result.note))
            self._age_ms.observe(result.stamp.age_ms(self._clock.now_ns()))
        for outlet in self._outlets:
            outlet.offer(result)
        self.flush()
