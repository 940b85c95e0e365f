"""Small stages to drive lanes and graphs with: each does one thing that can be told from its results."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime.core.errors import ConfigError
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import Emitted, StageContext, StageSpec
from tests.vocabulary import PATIENCE_S


@dataclass(frozen=True)
class Settings:
    """Shift of the pixel values; a negative one is refused."""

    shift: int = 0


@dataclass(frozen=True)
class Count:
    """What `Counting` makes of a frame: a value that is not a picture."""

    stamp: Stamp
    number: int


class Delay:
    """Give each frame, shifted, `behind` calls after it came; with `life` it notes what is done to it."""

    def __init__(self, behind: int = 0, *, name: str = "delay", life: list[str] | None = None) -> None:
        self.behind = behind
        self.group: Any = None
        self.name = name
        self.life = life if life is not None else []
        self.seen: list[int | None] = []
        self.settings = Settings()
        self.threads: set[str] = set()
        self._in_flight: deque[tuple[int, Frame]] = deque()

    def open(self, ctx: StageContext) -> None:
        self.life.append(f"open {self.name}")

    def configure(self, config: Settings) -> None:
        self.threads.add(threading.current_thread().name)
        if config.shift < 0:
            raise ConfigError(f"A shift of {config.shift} cannot be.", hint="Use 0 or more.")
        self.settings = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        self.threads.add(threading.current_thread().name)
        self.seen.append(None if item is None else item.stamp.seq)
        return self.step(item)

    def step(self, item: Frame | None) -> list[Emitted]:
        """Age what is in flight by one call; give the oldest if it is old enough."""
        self._in_flight = deque((age + 1, frame) for age, frame in self._in_flight)
        if item is not None:
            self._in_flight.append((0, item))
        given = []
        while self._in_flight and self._in_flight[0][0] >= self.behind:
            frame = self._in_flight.popleft()[1]
            given.append(Emitted(frame.stamp, Frame(frame.stamp, frame.pixels + self.settings.shift)))
        return given

    def reset(self) -> None:
        self.life.append(f"reset {self.name}")
        self._in_flight.clear()

    def close(self) -> None:
        self.life.append(f"close {self.name}")


class Gated(Delay):
    """A `Delay` whose calls for a sample each wait for `go`, and say in `inside` that they have begun."""

    def __init__(self, behind: int = 0) -> None:
        super().__init__(behind)
        self.inside = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is not None:
            self.inside.release()
            assert self.go.acquire(timeout=PATIENCE_S)
        return super().process(item)

    def entered(self) -> None:
        """Wait until a call has begun."""
        assert self.inside.acquire(timeout=PATIENCE_S)


class Faulty(Delay):
    """A `Delay` that raises for the samples (with None: the drain ticks) in `bad`; "all" means each."""

    def __init__(
        self, bad: set[int | None] | str, behind: int = 0, fault: type[Exception] = RuntimeError
    ) -> None:
        super().__init__(behind)
        self.bad = bad
        self.fault = fault

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        seq = None if item is None else item.stamp.seq
        self.seen.append(seq)
        if self.bad == "all" or seq in self.bad:
            raise self.fault(f"no {seq}")
        return self.step(item)


class Counting(Delay):
    """Give the mean of each picture: something else than it takes."""

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        return [Emitted(item.stamp, Count(item.stamp, int(item.pixels.mean())))]


CALLS: list[list[tuple[str, int | None]]] = []
"""The pairs of each `together` call since the test emptied it."""


def together(pairs: Sequence[tuple[Any, Any]]) -> list[list[Emitted]]:
    """Step several `Delay`s in one call."""
    CALLS.append([(stage.name, None if item is None else item.stamp.seq) for stage, item in pairs])
    return [list(stage.process(item)) for stage, item in pairs]


SPEC = StageSpec(name="delay", takes=Frame, gives=Frame, config=Settings, lane="paint")
JOINT = StageSpec(name="joint", takes=Frame, gives=Frame, config=Settings, lane="paint", together=together)
COUNTING = StageSpec(name="counting", takes=Frame, gives=Count, config=Settings, lane="see")
AFTER_COUNT = StageSpec(name="after", takes=Count, gives=Count, config=Settings, lane="see")
