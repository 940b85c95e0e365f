"""Painted frames a second, what the pipeline costs over the bare engine, age, and growth over a long run.

Everything runs at 256x256, one step, on the embedded painter, without transport: a source thread, the graph
with its lane, a reader. Ratios come from segments that take turns in one run. The long run feeds 30 frames a
second. Two sessions have different prompts and different pictures; every painted frame of theirs is compared
with what the same prompt makes of the same picture alone.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from benchmarks._measure import median, print_table, quantile, rss_mb
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.stage import PaintStage
from realtime.core.clock import MonotonicClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import StageContext
from realtime.sources.pattern import PatternSource, pattern_picture

PROMPTS = ("pencil sketch", "pop art")
PICTURES = 24
"""Different pictures that a session sends in turn."""
WAIT_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="painter", help="catalog id or diffusers folder")
    parser.add_argument("--engine", default="openvino", help="back end to measure")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--size", type=int, default=256, help="edge of the picture, px")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long run")
    parser.add_argument("--segments", type=int, default=6, help="turns of each side in the compared runs")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a segment")


class House:
    """Share engines by key between sessions, as the application does, and hold the lanes."""

    def __init__(self) -> None:
        self.clock = MonotonicClock()
        self.lanes = Lanes(self.clock)
        self._made: dict[str, Any] = {}

    def share(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


@dataclass
class Reader:
    """Count what comes out of a session, keep the ages, and check whose picture it is."""

    expected: Sequence[np.ndarray] = ()
    count: int = 0
    ages_ms: list[float] = field(default_factory=list)
    strangers: int = 0
    """Frames that are not this session's prompt over this session's picture."""


class Session:
    """One graph with one painter, fed from memory and read by a thread."""

    is_live = False

    def __init__(self, house: House, config: PaintConfig, name: str) -> None:
        self.house, self.name = house, name
        self.stage = PaintStage()
        nodes = self.nodes(config)
        self.graph = self.wired(nodes)
        self.out = self.graph.subscribe(nodes[-1].name, capacity=4)
        self.graph.open(house.lanes, StageContext(name, house.clock, house.share, is_live=self.is_live))
        self.reader = Reader()
        self._room = threading.Semaphore(2)  # one in the lane, one waiting
        self._seq = 0
        self._thread = threading.Thread(target=self._read, name=f"reader-{name}", daemon=True)
        self._thread.start()

    def nodes(self, config: PaintConfig) -> list[Node]:
        """Return the nodes of its graph; the last one's pictures are read."""
        return [Node("paint", self.stage, self.stage.spec, config)]

    def wired(self, nodes: list[Node]) -> Graph:
        """Return the graph of its nodes."""
        return Graph(nodes, clock=self.house.clock)

    def _read(self) -> None:
        from realtime.core.errors import ChannelClosed

        while True:
            try:
                result = self.out.get()
            except ChannelClosed:
                return
            if result.error is not None or result.value is None:
                raise result.error or RuntimeError("a result without a picture")
            reader = self.reader
            reader.count += 1
            reader.ages_ms.append(result.stamp.age_ms(self.house.clock.now_ns()))
            if reader.expected:
                want = reader.expected[result.stamp.seq % len(reader.expected)]
                reader.strangers += not close_to(result.value.pixels, want)
            self._room.release()

    def feed(self, pictures: Sequence[np.ndarray], seconds: float) -> float:
        """Keep the painter busy for a time, then wait until all is out; return painted frames a second."""
        rate = self.painting(pictures, seconds)
        self.graph.drain(WAIT_S)
        return rate

    def painting(self, pictures: Sequence[np.ndarray], seconds: float) -> float:
        """Keep the painter busy for a time; return painted frames a second."""
        first, began = self.reader.count, time.perf_counter()
        while time.perf_counter() - began < seconds:
            if not self._room.acquire(timeout=WAIT_S):
                raise TimeoutError(f"session {self.name}: no picture came back for {WAIT_S:g} s")
            seq, self._seq = self._seq, self._seq + 1
            stamp = Stamp(self.name, seq, seq, VIDEO_CLOCK, self.house.clock.now_ns())
            self.graph.put("video", Frame(stamp, pictures[seq % len(pictures)]))
        return (self.reader.count - first) / (time.perf_counter() - began)

    def close(self) -> None:
        self.graph.close()
        self._thread.join(WAIT_S)


def close_to(seen: np.ndarray, want: np.ndarray, levels: float = 1.0) -> bool:
    """Tell whether two pictures differ by rounding only: mean absolute difference below `levels` of 255."""
    return float(np.abs(seen.astype(np.int16) - want).mean()) < levels


def paint_alone(house: House, config: PaintConfig, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what the stage makes of each picture with no lane, graph or other session about."""
    stage = PaintStage()
    stage.configure(config)
    stage.open(StageContext("alone", house.clock, house.share))
    out: list[np.ndarray] = []
    for seq, picture in enumerate(pictures):
        made = list(stage.process(Frame(Stamp("alone", seq, seq, Fraction(1, 30), 0), picture)))
        while len(made) < 1:
            made += stage.process(None)
        out += [emitted.value.pixels for emitted in made]
    stage.close()
    return out


def bare_round(painter: Painter) -> Callable[[], None]:
    """Return a function that runs encoder, UNet and decoder once, one after the other, on ready tensors."""
    words = painter.book.words(PROMPTS[0], "").prompt
    t, side = painter.levels.schedule(1, 0.5)[0].t, painter.side(painter.size_px)
    given = painter.backbone.given(words, t, side, {})
    pixels = torch.randint(0, 256, (1, painter.size_px, painter.size_px, 3), dtype=torch.uint8)
    encoder, unet, decoder = painter.engines

    def once() -> None:
        latent = encoder.run(pixels=pixels)["latent"]
        named = unet.run(latent=latent, **given)["out"]
        decoder.run(latent=named)

    return once


def bare_rate(once: Callable[[], None], seconds: float) -> float:
    """Return rounds a second of the engines alone."""
    rounds, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        once()
        rounds += 1
    return rounds / (time.perf_counter() - began)


def together(
    sessions: Sequence[Session], pictures: Sequence[Sequence[np.ndarray]], seconds: float
) -> list[float]:
    """Feed all sessions at once; return each one's painted frames a second."""
    rates = [0.0] * len(sessions)

    def work(k: int) -> None:
        rates[k] = sessions[k].feed(pictures[k], seconds)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(sessions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + WAIT_S)
    return rates


def long_run(house: House, config: PaintConfig, minutes: float) -> dict[str, float]:
    """Feed 30 frames a second for `minutes`; compare the first with the last minute (or tenth)."""
    session = Session(house, config, "long")
    source = PatternSource(config.size_px, config.size_px, 30.0, clock=house.clock)
    span_s = min(60.0, minutes * 6)
    ages, memory = session.reader.ages_ms, []
    source.start(lambda frame: session.graph.put("video", frame))
    began, marks = time.perf_counter(), [0]
    waiter = threading.Event()
    while (gone_s := time.perf_counter() - began) < minutes * 60:
        waiter.wait(1.0)
        memory.append((gone_s, rss_mb()))
        marks.append(len(ages))
        if len(marks) % 60 == 0:
            print(
                f"  {gone_s:5.0f} s: {marks[-1]} frames, "
                f"age p95 {quantile(ages[marks[-60] :], 0.95):.0f} ms, {memory[-1][1]:.0f} MB",
                flush=True,
            )
    source.stop()
    session.close()
    seconds = len(marks) - 1
    window = max(1, round(span_s))
    first, last = ages[: marks[min(window, seconds)]], ages[marks[max(0, seconds - window)] :]
    # Memory settles while pools fill: the first window's second half against the last window.
    early = median([mb for at, mb in memory if span_s / 2 <= at <= span_s])
    late = median([mb for at, mb in memory if at >= minutes * 60 - span_s])
    return {
        "age_p95_ms": quantile(ages, 0.95), "age_p50_ms": quantile(ages, 0.5),
        "age_growth_10min": quantile(last, 0.95) / quantile(first, 0.95), "rss_growth_10min": late / early,
        "rss_mb": late, "soak_minutes": minutes, "soak_fps": len(ages) / (minutes * 60),
    }  # fmt: skip


def run(options: argparse.Namespace) -> dict[str, float | str | None]:
    house = House()
    configs = [
        PaintConfig(
            model=options.model,
            engine=options.engine,
            precision=options.precision,
            size_px=options.size,
            prompt=prompt,
        )
        for prompt in PROMPTS
    ]
    pictures = [
        [pattern_picture(k * 7 + 400 * who, options.size, options.size, mark=False) for k in range(PICTURES)]
        for who in range(2)
    ]
    expected = [paint_alone(house, config, own) for config, own in zip(configs, pictures, strict=True)]
    sessions = [Session(house, config, f"s{k}") for k, config in enumerate(configs)]
    for session, own in zip(sessions, expected, strict=True):
        session.reader.expected = own
    once = bare_round(sessions[0].stage.painter)
    info = sessions[0].stage.engine_info()
    print(f"engine: {info}", flush=True)

    bare, alone, both, shares = [], [], [], []
    bare_rate(once, 1.0)
    together(sessions, pictures, 1.0)
    for turn in range(options.segments):
        bare.append(bare_rate(once, options.seconds))
        alone.append(sessions[turn % 2].feed(pictures[turn % 2], options.seconds))
        rates = together(sessions, pictures, options.seconds)
        both.append(sum(rates))
        shares.append(min(rates) / max(rates))
        print(
            f"  turn {turn}: bare {bare[-1]:.1f}, pipeline {alone[-1]:.1f}, "
            f"two sessions {both[-1]:.1f} (share {shares[-1]:.2f})",
            flush=True,
        )
    strangers = sum(session.reader.strangers for session in sessions)
    painted = sum(session.reader.count for session in sessions)
    for session in sessions:
        session.close()

    figures: dict[str, float | str | None] = {
        "fps_fp32": median(alone),
        "of_bare_engine": median([a / b for a, b in zip(alone, bare, strict=True)]),
        "bare_fps": median(bare),
        "shared_engine_gain": median([b / a for a, b in zip(alone, both, strict=True)]),
        "shared_fairness": median(shares),
        "strangers": float(strangers),
        "frames_compared": float(painted),
    }
    figures |= long_run(house, configs[0], options.minutes)
    figures["age_p95_intervals"] = float(figures["age_p95_ms"] or 0) * float(figures["soak_fps"] or 0) / 1000
    figures["engine"] = str(info)
    house.lanes.close()
    print_table(figures)
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
