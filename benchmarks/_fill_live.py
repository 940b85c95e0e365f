"""The live half of the fill benchmark: a graph with the real painter as a session runs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from app.layers import read_settings
from app.registry import Registry
from app.wiring import House, Wiring
from benchmarks._measure import quantile
from realtime.core.channel import Channel
from realtime.core.clock import NS_PER_MS, MonotonicClock
from realtime.core.errors import ChannelClosed
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext

FPS = 30
WARM_S = 2.0


def live(pictures: Sequence[Any], seconds: float, engine: str) -> dict[str, dict[str, float]]:
    """Return the figures of the presets that paint and that fill, fed with `pictures` at 30 a second."""
    house = House()
    found = {name: one(house, name, pictures, seconds, engine) for name in ("paint", "fluent")}
    house.close()
    for name, row in found.items():
        print(f"  {name:8} " + ", ".join(f"{key} {value:g}" for key, value in row.items()), flush=True)
    return found


def one(house: House, preset: str, pictures: Sequence[Any], seconds: float, engine: str) -> dict[str, float]:
    flags = [("preset", preset), ("stages.paint.engine", engine), ("stages.paint.precision", "fp32")]
    settings = read_settings(flags=flags, environ={}).settings
    clock = MonotonicClock()
    wiring = Wiring(settings, Registry(), house, StageContext(clock=clock, shared=house.shared))
    wiring.open()
    wiring.try_out()
    ages_ms: list[float] = []
    begun_s = time.monotonic()
    reader = threading.Thread(target=lambda: read(wiring.subscribe(4), clock, begun_s, ages_ms))
    reader.start()
    for seq in range(round((WARM_S + seconds) * FPS)):
        due_s = begun_s + seq / FPS
        time.sleep(max(0.0, due_s - time.monotonic()))
        swing = seq % (2 * len(pictures) - 2)
        pixels = pictures[min(swing, 2 * len(pictures) - 2 - swing)]
        wiring.put(Frame(Stamp("camera", seq, 3000 * seq, VIDEO_CLOCK, clock.now_ns()), pixels))
    figures = wiring.figures()
    wiring.close()
    reader.join()
    return {
        "shown_fps": round(len(ages_ms) / seconds, 1),
        "painted_fps": figures.get("painted_fps", figures["fps"]),
        "age_p50_ms": round(quantile(ages_ms, 0.5), 1),
        "age_p95_ms": round(quantile(ages_ms, 0.95), 1),
        "paint_age_p50_ms": figures.get("paint_age_p50_ms", figures["age_p50_ms"]),
        "paint_age_p95_ms": figures.get("paint_age_p95_ms", figures["age_p95_ms"]),
        "work_ms": figures["work_ms"],
    }


def read(channel: Channel[Any], clock: MonotonicClock, begun_s: float, ages_ms: list[float]) -> None:
    """Note the age of each picture that comes once the graph is warm."""
    while True:
        try:
            result = channel.get()
        except ChannelClosed:
            return
        if time.monotonic() > begun_s + WARM_S:
            ages_ms.append((clock.now_ns() - result.stamp.captured_ns) / NS_PER_MS)
