"""Figures of our side alone that belong to the comparison: users together, own cost, stillness, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measure import Spent, median
from benchmarks._ours import Ours, timed
from benchmarks.paint import House, Session
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.clock import MonotonicClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext
from realtime.sources.pattern import pattern_picture

PAINTER_PX = 256
USERS = ("a harbour at dusk", "a quiet library", "snow on a roof", "a red tram")
USUAL_STEPS = 2
"""Steps at which the figures of four users bear no number."""
GATE: tuple[dict[str, Any], dict[str, Any]] = ({"skip_still": False}, {"skip_still": True})
"""Settings of the painter that switch its gate for still scenes off, and on."""
STILL_FPS, STILL_FRAMES, STILL_TURNS = 10.0, 50, 3
CAMERA_NOISE_LEVELS = 1.5
"""Standard deviation of a pixel of the still scene, in levels of 255: no camera gives equal pictures."""


def four_users(
    eager: Ours,
    default: Ours,
    pictures: Sequence[np.ndarray],
    steps: Mapping[int, Sequence[int]],
    how: Mapping[str, Any],
    rounds: int,
) -> dict[str, Any]:
    """Compare four sessions with four prompts in one call of each network with four calls, whole frames."""
    found: dict[str, Any] = {}
    for ours, end in ((eager, ""), (default, "_default")):
        for n, t_index_list in steps.items():
            streams = [
                ours.prepare(t_index_list, "none", **{**how, "prompt": prompt}, users=len(USERS))
                for prompt in USERS
            ]
            four = pictures[: len(USERS)]

            def together(ours: Ours = ours, streams: Any = streams, four: Any = four) -> None:
                ours.frames(streams, four)

            def apart(ours: Ours = ours, streams: Any = streams, four: Any = four) -> None:
                for stream, picture in zip(streams, four, strict=True):
                    ours.frame(stream, picture)

            for _ in range(n):
                together()
            gains, cpu_gains = [], []
            for turn in range(rounds):
                sides = (apart, together) if turn % 2 else (together, apart)
                spent = {side: lasting(side) for side in sides}
                gains.append(spent[apart].wall_s / spent[together].wall_s)
                cpu_gains.append(spent[apart].cpu_s / spent[together].cpu_s)
            name = "four_users_gain" if n == USUAL_STEPS else f"four_users_gain_n{n}"
            found |= {name + end: median(gains), f"cpu_{name}{end}": median(cpu_gains)}
    return found


def lasting(work: Callable[[], object], times: int = 2) -> Spent:
    """Return what a call takes, after one that is not counted."""
    work()
    return timed(lambda _: work(), 0, times)


class Stopwatch:
    """Keep count of the time spent inside engines."""

    def __init__(self, engines: Iterable[Any], now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self.inside_ns = 0
        self._now_ns = now_ns
        for engine in engines:
            engine.run = self._timed(engine.run)

    def _timed(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def timed(**tensors: Any) -> Any:
            began_ns = self._now_ns()
            try:
                return run(**tensors)
            finally:
                self.inside_ns += self._now_ns() - began_ns

        return timed


def own_overhead(frames: int = 60) -> dict[str, Any]:
    """Measure which share of the stage's time is not inside its engines: embedded painter, 256 px."""
    stage = PaintStage()
    stage.configure(PaintConfig(size_px=PAINTER_PX))
    stage.open(StageContext("overhead", MonotonicClock()))
    watch = Stopwatch(stage.painter.engines)
    shares, own_ms = [], []
    for k in range(frames + 3):
        picture = pattern_picture(7 * k, PAINTER_PX, PAINTER_PX, mark=False)
        frame = Frame(Stamp("overhead", k, k, Fraction(1, 30), 0), picture)
        before_ns, began_ns = watch.inside_ns, time.perf_counter_ns()
        stage.process(frame)
        whole_ns = time.perf_counter_ns() - began_ns
        own_ns = whole_ns - (watch.inside_ns - before_ns)
        if k >= 3:
            shares.append(own_ns / whole_ns)
            own_ms.append(own_ns / 1e6)
    stage.close()
    return {"own_overhead": median(shares), "own_ms": median(own_ms)}


def still_scene() -> dict[str, Any]:
    """Compare the processor time of painting a still scene without and with the gate, at a camera's rate."""
    house = House()
    sessions = [Session(house, PaintConfig(size_px=PAINTER_PX, **how), f"gate {how}") for how in GATE]
    base = pattern_picture(0, PAINTER_PX, PAINTER_PX, mark=False).astype(np.float32)
    draw = np.random.default_rng(3)
    scene = [
        np.clip(base + draw.normal(0.0, CAMERA_NOISE_LEVELS, base.shape), 0, 255).round().astype(np.uint8)
        for _ in range(STILL_FRAMES)
    ]
    for session in sessions:
        fed_at_rate(session, scene[:5])
    spent: list[list[float]] = [[], []]
    for turn in range(STILL_TURNS):
        for k in (0, 1) if turn % 2 else (1, 0):
            spent[k].append(fed_at_rate(sessions[k], scene))
    for session in sessions:
        session.close()
    house.lanes.close()
    savings = [off / on for off, on in zip(*spent, strict=True)]
    return {"still_scene_cpu_saving": median(savings), "still_scene_cpu_s": [median(one) for one in spent]}


def fed_at_rate(session: Session, scene: Sequence[np.ndarray]) -> float:
    """Feed `scene` at STILL_FPS; return this process's CPU seconds meanwhile, and until all is painted."""
    began, spent = time.perf_counter(), time.process_time()
    for k, picture in enumerate(scene):
        time.sleep(max(0.0, began + k / STILL_FPS - time.perf_counter()))
        stamp = Stamp(session.name, k, k, VIDEO_CLOCK, session.house.clock.now_ns())
        session.graph.put("video", Frame(stamp, picture))
    session.graph.drain(30.0)
    return time.process_time() - spent


def second_session() -> dict[str, Any]:
    """Measure what a second session adds to memory, as a share of the first's, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._memory"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
