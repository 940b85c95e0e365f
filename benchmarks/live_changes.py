"""What turning knobs costs a running session: p99 of the time between two pictures, with changes and without.

The embedded painter, driven as its lane drives it: settings, then a frame, as fast as it goes. Each kind of
change has two settings, X and Y. Segments take turns in one run: all X, all Y, then to and fro between them.
Times are shares of the median of the settings that they belong to, since a picture with two steps takes
longer than one with one; the first pictures after a change are held against the slower of the two.

Stale is a frame that came in after a change and was painted without it: a new prompt has to be encoded, a
larger picture prepared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks._measure import median, print_table, quantile
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.fields import indices
from pipelines.diffusion.stage import PaintStage
from pipelines.diffusion.stream_batch import StreamBatch
from pipelines.diffusion.trajectory import Trajectory
from realtime.core.clock import MonotonicClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext
from realtime.sources.pattern import pattern_picture

Change = Mapping[str, Any]
KINDS: Mapping[str, tuple[Change, Change]] = {
    "prompt": ({}, {"prompt": "pop art"}),
    "blend": ({}, {"prompt": "pencil sketch:0.6 | pop art:0.4"}),
    "spherical": ({"prompt": "pencil sketch | pop art"}, {"blend": "spherical"}),
    "transition": ({"transition_s": 0.4}, {"transition_s": 0.4, "prompt": "blueprint", "seed": 5}),
    "strength": ({}, {"strength": 0.37}),
    "seed": ({}, {"seed": 77}),
    "seed blend": ({}, {"seed_blend": 0.4}),
    "steps": ({}, {"steps": 2}),
    "t_index": ({}, {"t_index": "46"}),
    "sampler": ({"steps": 2}, {"steps": 2, "sampler": "ddim"}),
    "noise": ({"steps": 2}, {"steps": 2, "add_noise": False}),
    "guidance": ({}, {"guidance": "full"}),
    "scale": ({"guidance": "self"}, {"guidance": "self", "guidance_scale": 2.5, "delta": 0.6}),
    "negative": ({"guidance": "onetime"}, {"guidance": "onetime", "negative_prompt": "dark"}),
    "start": ({}, {"start_from": "noise"}),
    "vary": ({}, {"vary": True}),
    "size": ({}, {"size_px": 192}),
}
TYPED = {"prompt": "prompt", "negative": "negative_prompt"}
"""Settings whose words are others at each change: nothing of them is known before."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="painter", help="catalog id or diffusers folder")
    parser.add_argument("--engine", default="auto", help="back end to measure")
    parser.add_argument("--size", type=int, default=256, help="edge of the picture, px")
    parser.add_argument("--changes", type=int, default=6, help="changes of each kind")
    parser.add_argument("--frames", type=int, default=12, help="frames between two changes")


class Record(StreamBatch):
    """Remember what each frame was painted with."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: Trajectory | None = None

    def admit(self, trajectory: Trajectory) -> None:
        super().admit(trajectory)
        self.newest = trajectory


@dataclass
class Bench:
    """Drive one stage and note the time between its pictures."""

    stage: PaintStage
    base: PaintConfig
    record: Record
    pictures: list[Any]
    seq: int = 0
    out: int = 0
    stale: int = 0
    last_ns: int = 0
    cpu_ns: int = 0
    plain: list[float] = field(default_factory=list)
    """Shares of the median, without changes."""
    changed: list[float] = field(default_factory=list)
    """The same, with changes."""
    plain_cpu_ms: list[float] = field(default_factory=list)
    """Processor time of the painting thread itself, which other programs disturb less."""
    changed_cpu_ms: list[float] = field(default_factory=list)
    into: list[float] = field(default_factory=list)
    """Where the next frames' processor times go."""

    def config(self, change: Change) -> PaintConfig:
        return PaintConfig.model_validate({**self.base.model_dump(), **change})

    def frame(self) -> float | None:
        """Paint one frame; return the milliseconds since the picture before, None when none came out."""
        stamp = Stamp("bench", self.seq, self.seq * 3000, VIDEO_CLOCK, time.monotonic_ns())
        painted = self.stage.process(Frame(stamp, self.pictures[self.seq % len(self.pictures)]))
        self.seq += 1
        self.out += len(painted)
        now_ns = time.perf_counter_ns()
        took_ms, self.last_ns = (now_ns - self.last_ns) / 1e6, now_ns
        cpu_ns = time.thread_time_ns()
        self.into.append((cpu_ns - self.cpu_ns) / 1e6)
        self.cpu_ns = cpu_ns
        return took_ms if painted else None

    def is_stale(self, one: Trajectory, version: int, config: PaintConfig) -> bool:
        """Tell whether a frame that came in under these settings was painted with others."""
        painter = self.stage.painter
        for words, prompt in (
            (one.words.prompt, config.prompt),
            (one.words.negative, config.negative_prompt),
        ):
            if config.transition_s == 0 and words is not painter.book.look_up(prompt, config.blend):
                return True
        seen = (one.version, len(one.schedule), one.guidance.mode, int(one.latent_1CHW.shape[-1]))
        steps = len(indices(config.t_index)) or config.steps
        return seen != (version, steps, config.guidance, painter.side(config.size_px))

    def settle(self, config: PaintConfig, frames: int = 4) -> None:
        """Take settings and wait until all that they need is ready."""
        self.into = []
        self.stage.configure(config)
        self.frame()
        self.stage.painter.build(lambda: None).result()
        self.stage.painter.book.later(lambda: None).result()
        for _ in range(frames):
            self.frame()

    def steady(self, config: PaintConfig, frames: int) -> float:
        """Paint without changes; return the median time between two pictures."""
        self.settle(config)
        self.into = self.plain_cpu_ms
        times = [took for _ in range(frames) if (took := self.frame()) is not None]
        middle = median(times)
        self.plain += [took / middle for took in times]
        return middle

    def to_and_fro(
        self, ways: Sequence[tuple[PaintConfig, float]], slower_ms: float, frames: int
    ) -> list[float]:
        """Change the settings every few frames; return the shares."""
        self.into = self.changed_cpu_ms
        shares = []
        came: list[tuple[int, Trajectory, int, PaintConfig]] = []
        for config, middle in ways:
            self.stage.configure(config)
            for k in range(frames):
                took = self.frame()
                if took is not None:
                    shares.append(took / (slower_ms if k < 4 else middle))
                assert self.record.newest is not None
                came.append((k, self.record.newest, self.stage.version, config))
        self.changed += shares
        # Looked at afterwards: to ask the book for a prompt that is not ready would encode it here.
        late = (k + 1 for k, one, version, config in came if self.is_stale(one, version, config))
        self.stale = max(self.stale, *late, 0)
        return shares


def run(options: argparse.Namespace) -> dict[str, float | str]:
    made: dict[str, Any] = {}

    def shared(key: str, make: Callable[[], Any]) -> Any:
        if key not in made:
            made[key] = make()
        return made[key]

    base = PaintConfig(model=options.model, engine=options.engine, size_px=options.size, skip_still=False)
    stage, record = PaintStage(), Record()
    stage.batch = record
    stage.configure(base)
    stage.open(StageContext("bench", MonotonicClock(), shared))
    pictures = [pattern_picture(k * 7, options.size, options.size, mark=False) for k in range(24)]
    bench = Bench(stage, base, record, pictures)
    print(f"engine: {stage.engine_info()}", flush=True)
    bench.settle(base, 30)

    stale: dict[str, int] = {}
    changes = 0
    for kind, (x, y) in KINDS.items():
        configs = bench.config(x), bench.config({**x, **y})
        frames = options.frames * options.changes // 2
        before = len(bench.plain)
        medians = [bench.steady(config, frames) for config in configs]

        turns = [(k + 1) % 2 for k in range(options.changes)]
        wished = [configs[turn] for turn in turns]
        if kind in TYPED:
            typed = [f"pop art, {kind} number {k}" + " word" * 20 for k in range(options.changes)]
            wished = [
                one.model_copy(update={TYPED[kind]: words}) for one, words in zip(wished, typed, strict=True)
            ]
        ways = list(zip(wished, [medians[turn] for turn in turns], strict=True))
        bench.stale = 0
        shares = bench.to_and_fro(ways, max(medians), options.frames)
        changes += options.changes
        says = f"{medians[0]:6.1f} / {medians[1]:6.1f} ms, worst {max(shares):5.2f} of it"
        print(
            f"  {kind:12} {says} (steady {max(bench.plain[before:]):5.2f}), stale {bench.stale}", flush=True
        )
        stale[kind] = bench.stale
    while stage.batch:
        bench.out += len(stage.process(None))
    figures: dict[str, float | str] = {
        "live_changes_p99_ratio": quantile(bench.changed, 0.99) / quantile(bench.plain, 0.99),
        "lane_cpu_p99_ratio": quantile(bench.changed_cpu_ms, 0.99) / quantile(bench.plain_cpu_ms, 0.99),
        "dropped_outputs": float(bench.seq - bench.out),
        "stale_frames_max": float(max(stale.values())),
        "changes": float(changes),
        "p99_of_median_plain": quantile(bench.plain, 0.99),
        "p99_of_median_changed": quantile(bench.changed, 0.99),
        "frames": float(bench.seq),
        "engine": str(stage.engine_info()),
    }
    print_table(figures)
    return {name: round(v, 3) if isinstance(v, float) else v for name, v in figures.items()}
