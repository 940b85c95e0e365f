"""Train the watcher, judge it, and write its folder: `python -m training.qa --minutes 5`."""

from __future__ import annotations

import argparse
import json
import os
import time
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path

import torch

from .model import TINY, Size, save
from .train import WORK, Budget, judge, train

CLIPS = ((1, 1), (16, 16), (64, 64), (64, 16), (96, 16))
"""Frames of held-out clips, and the window that they are encoded with."""


def say(text: str) -> None:
    print(text, flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.qa", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="budget of training; its schedule ends with it")
    parser.add_argument("--steps", type=int, default=0, help="end after so many steps instead")
    parser.add_argument("--frames", type=int, default=4096, help="frames of a batch of clips, about")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=max((os.cpu_count() or 2) - 2, 0), help="processes that make batches")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a model of a few thousand parameters, to try the recipe")
    parser.add_argument("--checkpoint", type=Path, default=WORK / "watcher.pt")
    parser.add_argument("--out", type=Path, default=WORK / "watcher", help="where the model's folder goes")
    return parser.parse_args()


def main() -> None:
    args = options()
    pool = get_context("fork").Pool(args.workers) if args.workers else None  # before the GPU is woken
    try:
        _main(args, pool)
    finally:
        if pool is not None:
            pool.terminate()


def _main(args: argparse.Namespace, pool: Pool | None) -> None:
    if args.device == "cpu":
        torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    began = time.monotonic()
    budget = Budget(args.minutes, args.steps, args.frames, lr=args.lr, seed=args.seed)
    run = train(TINY if args.tiny else Size(), budget, args.device, args.checkpoint, pool, say)
    say(f"trained {run.step} steps in {run.spent_s:.0f} s, {time.monotonic() - began:.0f} s with all")
    save(run.average, args.out)
    few = args.device == "cpu"
    figures = {
        "training": {"steps": run.step, "seconds": round(run.spent_s), "frames": args.frames, "seed": args.seed},
        "held out": {
            f"{frames} frames, window {window}": judge(run.average, args.device, frames, window, 1 if few else 8, 8 if few else 32)
            for frames, window in CLIPS
        },
    }  # fmt: skip
    say(json.dumps(figures))
    (args.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
