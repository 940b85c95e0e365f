"""Our painter against the StreamDiffusion package of PyPI, on the same weights, taking turns in one run.

Both load one diffusers folder (12.5 M parameters, 128x128, random weights: see benchmarks/_models.py), have
the same libraries, threads and environment variables, and stay loaded. In each round every side gets a short
turn, in an order drawn anew; a ratio is the median of the rounds' own ratios. The reference gets ready
float tensors and gives float tensors; ours is charged for pixels in and pixels out. Steps: t_index_list [32],
[16, 32] and [0, 16, 32, 45]; the reference runs torch eager in float32, which is what it has on a CPU.

"ours" is the default engine (auto), "ours torch" is torch eager in float32 as the reference's. Figures that
begin with cpu_ compare the processor time of a frame, all threads, in place of the time on the clock.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import _claims as claims
from benchmarks._measure import Spent, median, print_table
from benchmarks._models import SIZE_PX, model_folder
from benchmarks._ours import MODES, Ours
from benchmarks._reference import Reference
from pipelines.engines.cost import usable_threads
from realtime.sources.pattern import pattern_picture

STEPS: Mapping[int, tuple[int, ...]] = {1: (32,), 2: (16, 32), 4: (0, 16, 32, 45)}
HOW: dict[str, Any] = {
    "scale": 1.5, "delta": 0.7, "seed": 5, "prompt": "a harbour at dusk", "negative": "text, letters"
}  # fmt: skip
PICTURES = 12
TOLERANCE = 2e-4
"""Largest difference of outputs before clamping; the reference against itself on other threads is 2e-6."""
FAULTY = {(1, "self")}
"""Where the reference is wrong (it feeds its noise back from frame to frame), so parity is not wanted."""

Name = tuple[str, str, int]
"""Side, guidance mode, number of steps."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One side at one task."""

    name: Name
    work: Callable[[int], Spent]
    """Paint so many frames; return what a frame took."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="turns of every side")
    parser.add_argument("--frames", type=int, default=6, help="frames of a turn, after one that is not timed")
    parser.add_argument("--seed", type=int, default=1, help="of the order of turns")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES, help="kinds of guidance")
    parser.add_argument("--no-claims", action="store_true", help="only the comparison with the reference")


def run(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(usable_threads())
    folder = model_folder()
    pictures = [pattern_picture(7 * k, SIZE_PX, SIZE_PX, mark=False) for k in range(PICTURES)]
    with tempfile.TemporaryDirectory() as scratch, Reference(folder, SIZE_PX) as reference:
        print(f"reference: {reference.versions}", flush=True)
        file = Path(scratch, "pictures.npy")
        np.save(file, np.stack(pictures))
        eager = Ours(folder, "torch", "fp32", SIZE_PX)
        default = Ours(folder, "auto", "auto", SIZE_PX)
        print(f"ours: {default.name}, ours torch: {eager.name}", flush=True)
        figures: dict[str, Any] = {"engine": default.name, "threads": usable_threads()}
        figures |= parity(reference, eager, folder, pictures, file, options.modes)
        turns = [
            turn
            for n in STEPS
            for mode in options.modes
            for turn in [
                *reference_turns(reference, file, mode, n),
                *our_turns("ours torch", eager, pictures, mode, n),
                *our_turns("ours", default, pictures, mode, n),
            ]
        ]
        times = take_turns(turns, options.rounds, options.frames, random.Random(options.seed))
    for side, ours in (("ours", default), ("ours torch", eager)):
        print(f"  rows of a call in the end, {side}: {ours.splits((2, 3, 4, 5, 8))}", flush=True)
    wall = {name: [one.wall_s for one in spent] for name, spent in times.items()}
    cpu = {name: [one.cpu_s for one in spent] for name, spent in times.items()}
    print_times("ms a frame", wall)
    print_times("CPU ms a frame", cpu)
    figures |= compared(wall)
    figures |= {f"cpu_{name}": value for name, value in compared(cpu).items() if "fps" not in name}
    if not options.no_claims:
        figures |= claims.four_users(eager, default, pictures, STEPS, HOW, options.rounds)
        figures |= claims.own_overhead()
        figures |= claims.still_scene()
        figures |= claims.second_session()
    print_table(figures)
    return {k: round(v, 4) if isinstance(v, float) and abs(v) > 1e-3 else v for k, v in figures.items()}


def reference_turns(reference: Reference, file: Path, mode: str, n: int) -> list[Turn]:
    """Prepare the reference at a task; without guidance also its sequential mode."""

    def turn(side: str, batched: bool) -> Turn:
        stream = f"{side} {mode} {n}"
        reference.prepare(stream, STEPS[n], mode, **HOW, batched=batched)
        return Turn((side, mode, n), lambda count: reference.run(stream, file, count))

    alone = [turn("reference sequential", batched=False)] if mode == "none" else []
    return [turn("reference", batched=True), *alone]


def our_turns(side: str, ours: Ours, pictures: Sequence[np.ndarray], mode: str, n: int) -> list[Turn]:
    """Prepare ours at a task; without guidance also its steps one after the other."""
    stream = ours.prepare(STEPS[n], mode, **HOW)
    batch = Turn((side, mode, n), lambda count: ours.run(stream, pictures, count))
    alone = Turn((f"{side} sequential", mode, n), lambda count: ours.sequential(stream, pictures, count))
    return [batch, alone] if mode == "none" else [batch]


def take_turns(
    turns: Sequence[Turn], rounds: int, frames: int, draw: random.Random
) -> dict[Name, list[Spent]]:
    """Give every turn `rounds` segments; return what a frame took by name and round.

    What is compared most stands close together in time: a round goes through the numbers of steps, for each
    through the modes, for each through the sides, all three in an order of this round only.
    """
    taken: dict[Name, list[Spent]] = defaultdict(list)
    for turn in turns:  # fills pipelines and warms every side; not counted
        turn.work(turn.name[2] + 1)
    for number in range(rounds):
        order = {turn.name: draw.random() for turn in turns}
        by_n, by_mode = ({turn.name[i]: draw.random() for turn in turns} for i in (2, 1))
        for turn in sorted(turns, key=lambda t: (by_n[t.name[2]], by_mode[t.name[1]], order[t.name])):
            turn.work(1)
            taken[turn.name].append(turn.work(frames))
        print(f"  round {number + 1} of {rounds}", flush=True)
    return dict(taken)


def ratio(times: Mapping[Name, Sequence[float]], slow: Name, fast: Name) -> float | None:
    """Return how often `fast` paints a frame while `slow` paints one; None when one of them did not run."""
    if slow not in times or fast not in times:
        return None
    return median([a / b for a, b in zip(times[slow], times[fast], strict=True)])


def compared(times: Mapping[Name, Sequence[float]]) -> dict[str, float | None]:
    """Return the figures that follow from the rounds."""
    found: dict[str, float | None] = {}
    for n in STEPS:
        for mode in MODES:
            end = f"n{n}" if mode == "none" else f"{mode}_n{n}"
            base: Name = ("reference", mode, n)
            found[f"vs_reference_{end}"] = ratio(times, base, ("ours", mode, n))
            found[f"vs_reference_torch_{end}"] = ratio(times, base, ("ours torch", mode, n))
    for side, start, end in (
        ("reference", "reference_", ""),
        ("ours torch", "", ""),
        ("ours", "", "_default"),
    ):
        for n in (2, 4):
            found[f"{start}batch_over_sequential_n{n}{end}"] = ratio(
                times, (f"{side} sequential", "none", n), (side, "none", n)
            )
            found[f"{start}full_over_self_n{n}{end}"] = ratio(times, (side, "full", n), (side, "self", n))
    for n in STEPS:
        for side in ("reference", "ours torch", "ours"):
            seconds = median(times.get((side, "none", n), ()))
            found[f"{side.replace(' ', '_')}_fps_n{n}"] = 1 / seconds if seconds else None
    return found


def print_times(title: str, times: Mapping[Name, Sequence[float]]) -> None:
    """Print milliseconds from seconds, the median of the rounds."""
    sides = sorted({name[0] for name in times}, key=lambda side: (not side.startswith("reference"), side))
    print(f"\n  {title:17}" + "".join(f"{side:>23}" for side in sides), flush=True)
    for n in STEPS:
        for mode in MODES:
            cells = [median(times.get((side, mode, n), ())) * 1e3 for side in sides]
            if not any(cells):
                continue
            shown = "".join(f"{cell:23.1f}" if cell else f"{'-':>23}" for cell in cells)
            print(f"  n={n} {mode:12}{shown}", flush=True)


def parity(
    reference: Reference,
    ours: Ours,
    folder: Path,
    pictures: Sequence[np.ndarray],
    file: Path,
    modes: Sequence[str],
) -> dict[str, Any]:
    """Compare both outputs before clamping, frame by frame; the first n - 1 of the reference are void."""
    from diffusers import AutoencoderTiny

    vae = AutoencoderTiny.from_pretrained(str(folder / "vae"), local_files_only=True).eval()
    worst: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "out.npy")
        for n, t_index_list in STEPS.items():
            for mode in modes:
                if (n, mode) in FAULTY:
                    continue
                stream = ours.prepare(t_index_list, mode, **HOW)
                reference.prepare("parity", t_index_list, mode, **HOW)
                reference.run("parity", file, len(pictures), out)
                mine, theirs = ours.unclamped(vae, stream, pictures), np.load(out)[n - 1 :]
                worst[f"{mode} n={n}"] = float(np.abs(mine - theirs).max())
                verdict = "ok" if worst[f"{mode} n={n}"] <= TOLERANCE else "DIFFERS"
                print(
                    f"  parity {mode:10} n={n}: {worst[f'{mode} n={n}']:.1e} over {len(mine)} frames "
                    f"(std {theirs.std():.2f}) {verdict}",
                    flush=True,
                )
    return {
        "parity_worst": max(worst.values()),
        "parity_cases": len(worst),
        "parity_holds": max(worst.values()) <= TOLERANCE,
    }
