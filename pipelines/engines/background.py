"""Paint with what is ready, build what is faster behind it, and change over between two pictures.

A TensorRT engine or a compiled UNet takes from ten seconds to minutes, and a person who pressed Start wants a
picture now. So the session runs on the engine that is there, a thread builds the better one and makes ready
every shape that was used meanwhile, and the next run is the new one's. When that fails it is said and kept
with the reasons, and the session goes on as it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from realtime.core.errors import EngineError, VitascopeError

from .base import Engine, EngineInfo, Key, Network, Report, Shapes, key_of, shapes_of
from .choose import BUILT_IN, FAULTS, ORDER, Builder, choose, default_device

if TYPE_CHECKING:
    import torch

NS_PER_S = 1_000_000_000
SLOW = ("tensorrt",)
"""Back ends that "auto" would begin with, and that take from ten seconds to minutes to build a network."""
TELL_S = 5.0
"""How often it is said that a build still goes on."""

Make = Callable[[Report], Engine]
"""Build the better engine, passed through the parity gate; EngineError says why not."""
Start = Callable[[Callable[[], None]], object]
"""Run a function in a thread of its own."""


def in_thread(work: Callable[[], None]) -> object:
    """Run `work` in a thread that does not keep the program from ending."""
    thread = threading.Thread(target=work, name="engine build", daemon=True)
    thread.start()
    return thread


class BackgroundEngine:
    """An engine that becomes a better one while it is used. See `base.Engine` for who calls what."""

    def __init__(
        self,
        network: Network,
        first: Engine,
        better: str,
        make: Make,
        *,
        report: Report = lambda sentence: None,
        start: Start = in_thread,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Serve with `first` and begin to `make` the engine that messages call `better`, e.g. "tensorrt"."""
        self._network = network
        self._current = first
        self._better = better
        self._make = make
        self._report = report
        self._now_ns = now_ns
        self._began_ns = self._told_ns = now_ns()
        self._lock = threading.Lock()
        """Held to read or change what follows, never while an engine works."""
        self._next: Engine | None = None
        self._used: dict[Key, Shapes] = {}
        self._is_building = True
        self._is_closed = False
        start(self._work)

    @property
    def info(self) -> EngineInfo:
        """What runs now, and why."""
        return self._current.info

    @info.setter
    def info(self, info: EngineInfo) -> None:
        self._current.info = info

    @property
    def progress(self) -> str:
        """Say how the build stands; empty when none is under way."""
        with self._lock:
            if not self._is_building:
                return ""
        took_s = (self._now_ns() - self._began_ns) // NS_PER_S
        return f"Building {self._network.name} with {self._better}, {took_s} s so far."

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        self._change_over()
        self._tell()
        shapes = shapes_of(tensors)
        result = self._current.run(**tensors)
        self._remember(shapes)
        return result

    def warm(self, shapes: Shapes) -> None:
        self._current.warm(shapes)
        self._remember(shapes)

    def plans(self) -> tuple[str, ...]:
        return self._current.plans()

    def close(self) -> None:
        """Return at once; what is still being built is closed when it is done."""
        with self._lock:
            self._is_closed = True
            ready, self._next = self._next, None
        for engine in (self._current, ready):
            if engine is not None:
                engine.close()

    def _change_over(self) -> None:
        """Take the new engine if it is ready. Only the thread that runs comes here."""
        if self._next is None:
            return
        with self._lock:
            ready, self._next = self._next, None
        if ready is None:
            return
        old, self._current = self._current, ready
        old.close()
        self._report(f"{self._network.name} runs with {self._better} now.")

    def _remember(self, shapes: Shapes) -> None:
        """Note shapes that worked, for the engine that comes."""
        if not self._is_building:
            return
        key = key_of(self._network, shapes)
        with self._lock:
            self._used.setdefault(key, dict(shapes))

    def _tell(self) -> None:
        if not self._is_building or self._now_ns() - self._told_ns < TELL_S * NS_PER_S:
            return
        self._told_ns = self._now_ns()
        if said := self.progress:
            self._report(said)

    def _work(self) -> None:
        """Build, make ready, hand over. In the thread of the build."""
        made: Engine | None = None
        reason = "the build was broken off"
        try:
            made = self._make(self._report)
            self._warm_and_hand_over(made)
            return
        except VitascopeError as error:
            reason = error.message
        except FAULTS as error:
            reason = f"{type(error).__name__}: {error}"
        finally:
            if self._is_building:
                self._give_up(made, reason)

    def _warm_and_hand_over(self, made: Engine) -> None:
        """Make every used shape ready, also those that come while this goes on."""
        done: set[Key] = set()
        while True:
            with self._lock:
                if self._is_closed:
                    raise EngineError("it was closed meanwhile.")
                left = {key: shapes for key, shapes in self._used.items() if key not in done}
                if not left:
                    took_s = (self._now_ns() - self._began_ns) / NS_PER_S
                    why = f"It was built in {took_s:.0f} s while {self.info.backend} served. {made.info.why}"
                    made.info = replace(made.info, why=why.strip(), refused=made.info.refused)
                    self._next, self._is_building = made, False
                    return
            for key, shapes in left.items():
                made.warm(shapes)
                done.add(key)

    def _give_up(self, made: Engine | None, reason: str) -> None:
        with self._lock:
            self._is_building = False
            is_closed = self._is_closed
            if not is_closed:
                kept = (*self.info.refused, (self._better, reason))
                self._current.info = replace(self.info, refused=kept)
        if made is not None:
            made.close()
        if not is_closed:
            self._report(
                f"{self._network.name} stays with {self.info.backend}: {self._better} failed: {reason}"
            )


def improve(
    network: Network,
    first: Engine,
    *,
    wanted: str,
    precision: str,
    example: Mapping[str, torch.Tensor],
    report: Report = lambda sentence: None,
    device: str | None = None,
    builders: Mapping[str, Builder] | None = None,
    start: Start = in_thread,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> BackgroundEngine:
    """Return an engine that serves with `first` until the back end `wanted` is built and agrees with torch.

    `precision`, `example`, `device` and `builders` are those of `choose.choose`, which builds it.
    """

    def make(tell: Report) -> Engine:
        return choose(
            network,
            wanted=wanted,
            precision=precision,
            example=example,
            report=tell,
            device=device,
            builders=builders,
        )

    return BackgroundEngine(network, first, wanted, make, report=report, start=start, now_ns=now_ns)


def choose_and_improve(
    network: Network,
    *,
    wanted: str = "auto",
    precision: str = "auto",
    example: Mapping[str, torch.Tensor],
    report: Report = lambda sentence: None,
    device: str | None = None,
    builders: Mapping[str, Builder] | None = None,
    start: Start = in_thread,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> Engine:
    """Return what `choose.choose` would, but serve at once where "auto" begins with one slow to build.

    Not for work that has to come out the same twice: when the engines change over is a matter of chance. A
    back end that is asked for by name is waited for. Raises as `choose` does.
    """
    device = device or default_device()
    known = BUILT_IN if builders is None else builders
    slow = next((name for name in ORDER[device] if name in SLOW and name in known), "")
    quick = {name: build for name, build in known.items() if not (slow and wanted == "auto" and name in SLOW)}
    first = choose(
        network,
        wanted=wanted,
        precision=precision,
        example=example,
        report=report,
        device=device,
        builders=quick,
    )
    if wanted != "auto" or not slow:
        return first
    return improve(
        network,
        first,
        wanted=slow,
        precision=precision,
        example=example,
        report=report,
        device=device,
        builders=known,
        start=start,
        now_ns=now_ns,
    )
