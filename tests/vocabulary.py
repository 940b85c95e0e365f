"""The words that tests speak in: stamps, frames, running a stage, and threads that must come home."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings

from realtime.core.clock import NS_PER_MS
from realtime.core.frame import VIDEO_CLOCK, AudioChunk, Frame, Stamp
from realtime.core.seat import DRAIN_PATIENCE
from realtime.core.stage import Emitted, Stage, StageContext

PATIENCE_S = 20.0
"""How long a test waits for another thread before it fails; no test passes by waiting it out."""
DRAIN_TICKS = 64
timeless = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Decorate a property test with it: how fast the machine is today says nothing about the property."""


def make_stamp(
    seq: int = 0, source: str = "test", *, rate_hz: int = 30, captured_ns: int | None = None
) -> Stamp:
    """Return the stamp of sample `seq` of a source at `rate_hz`, captured when it was due unless said."""
    pts = seq * round(1 / (rate_hz * VIDEO_CLOCK))
    due_ns = round(seq * 1000 * NS_PER_MS / rate_hz)
    return Stamp(source, seq, pts, VIDEO_CLOCK, due_ns if captured_ns is None else captured_ns)


def make_frame(
    seq: int = 0,
    source: str = "test",
    *,
    height_px: int = 16,
    width_px: int = 16,
    captured_ns: int | None = None,
) -> Frame:
    """Return a picture of noise that depends on `seq` and `source` alone."""
    random = np.random.default_rng([seq, *source.encode()])
    pixels = random.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return Frame(make_stamp(seq, source, captured_ns=captured_ns), pixels)


def make_chunk(seq: int = 0, source: str = "test", *, count: int = 320, rate_hz: int = 16_000) -> AudioChunk:
    """Return 20 ms of noise that depends on `seq` alone."""
    samples = np.random.default_rng(seq).uniform(-1, 1, count).astype(np.float32)
    stamp = Stamp(source, seq, seq * count, Fraction(1, rate_hz), seq * count * 1000 * NS_PER_MS // rate_hz)
    return AudioChunk(stamp, samples, rate_hz)


def run_stage(
    stage: Stage[Any], samples: Iterable[Any], *, config: Any = None, ctx: StageContext | None = None
) -> list[Emitted]:
    """Configure (unless `config` is None), open and feed a stage, drain it, close it; return what it gave."""
    if config is not None:
        stage.configure(config)
    stage.open(ctx or StageContext(session="test"))
    try:
        given = [one for sample in samples for one in stage.process(sample)]
        empty = 0
        for _ in range(DRAIN_TICKS):
            rest = stage.process(None)
            given += rest
            empty = 0 if rest else empty + 1
            if empty >= DRAIN_PATIENCE:
                return given
        raise AssertionError(f"{type(stage).__name__} still gives results after {DRAIN_TICKS} drain ticks")
    finally:
        stage.close()


@contextmanager
def running(*works: Callable[[], Any]) -> Iterator[list[threading.Thread]]:
    """Run each of `works` on a thread; at the end all must have come home, and their errors are raised."""
    faults: list[BaseException] = []

    def guarded(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads), "a thread did not come home"
    if faults:
        raise faults[0]
