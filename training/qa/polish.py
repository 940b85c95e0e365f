"""Train a made watcher's language part further, mostly on the questions that it is worst at; its eyes rest.

Resumable: start it again with the same command.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .batches import Spec, ahead
from .model import Size
from .train import TRAINING, WINDOWS, WORK, Budget, Training
from .words import KINDS

HARD = ("place",) * 10 + ("place now", "place now", "count", "order")
"""Asked besides all kinds."""


def spec(seed: tuple[int, ...], frames: int) -> tuple[Spec, int]:
    """Return a batch for about so many frames: clips of 1 to 32, and the window."""
    rng = np.random.default_rng(seed)
    few = int(rng.choice((1, 4, 8, 8, 16, 16, 24, 32)))
    asked = min(8 + few, 24)
    made = Spec(seed, max(frames // max(few, 8), 1), few, asked, whole=0.25, kinds=(*KINDS, *HARD))
    return made, int(rng.choice(WINDOWS))


def polish(run: Training, pool: Pool | None = None, say: Any = print) -> None:
    """Train to the run's budget."""
    run.seen_at = 0.0
    run.model.model.vision_tower.requires_grad_(False)
    run.model.model.multi_modal_projector.requires_grad_(False)
    draws = torch.Generator(run.device).manual_seed(run.step)
    windows: list[int] = []

    def specs() -> Iterator[Spec]:
        number = run.step
        while True:
            made, window = spec((TRAINING, 3, run.budget.seed, number), run.budget.frames)
            windows.append(window)
            number += 1
            yield made

    told: list[torch.Tensor] = []
    batches = ahead(specs(), pool, 30)
    since = saved = time.monotonic()
    while run.progress < 1:
        told.append(run.learn(next(batches), windows.pop(0), draws))
        if len(told) == 10:
            answer, finds, right = torch.stack(told).mean(0).tolist()
            told.clear()
            say(f"step {run.step} {run.spent_s:.1f}s answer {answer:.3f} finds {finds:.3f} right {right:.3f}")
        now = time.monotonic()
        run.spent_s, since = run.spent_s + now - since, now
        if now - saved > 60:
            run.save()
            saved = now


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.qa.polish", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--frames", type=int, default=128, help="of a batch, about")
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=max((os.cpu_count() or 2) - 2, 0), help="processes that make batches")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--start", type=Path, required=True, help="safetensors file to begin from")
    parser.add_argument("--checkpoint", type=Path, default=WORK / "polish.pt")
    parser.add_argument("--out", type=Path, default=WORK / "polished.safetensors")
    args = parser.parse_args()
    pool = get_context("fork").Pool(args.workers) if args.workers else None
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    from safetensors.torch import load_file, save_file

    budget = replace(Budget(args.minutes), frames=args.frames, lr=args.lr, seed=args.seed, decay=0.97)
    run = Training(Size(), budget, args.device, args.checkpoint)
    if not run.step:
        state = {name: value.float() for name, value in load_file(args.start).items()}
        run.model.load_state_dict(state)
        run.average.load_state_dict(state)
    polish(run, pool, lambda said: print(said, flush=True))
    save_file({name: value.contiguous() for name, value in run.average.state_dict().items()}, args.out)
    if args.device == "cpu":
        run.save()
    if pool is not None:
        pool.terminate()
    print(f"polished, {run.step} steps in {run.spent_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
