"""Teach a trained watcher where things were: `python -m training.qa.tune`, on one core of a processor.

Its eyes and its projector are left alone, but for what `places` writes into one that never took the first layer.
The mind learns to read that from clips as a retrieval gives them. Half of the questions ask for a place, the others
for all else, that nothing is unlearnt.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .__main__ import CLIPS
from .attend import use
from .batches import Batch, Spec, batch
from .export import MODEL
from .model import save
from .places import pictures, widened, wire, write_places
from .step import drawn, losses, tally
from .train import TRAINING, WORK, judge
from .words import KINDS

MIX = (*("place",) * 10, *("place now",) * 4, *KINDS, "count", "order", "colour", "appear")
"""Kinds of questions, each as often as it stands here; about places there is not always a plain one."""
SIZES = (4, 8, 16, 16, 16, 24, 32, 48)
"""Frames of a clip."""
FRAMES, QUESTIONS = 128, 6
"""Of a batch, about; and about a clip."""
WINDOWS = (4, 8, 16, 32, 32)
DECAY = 0.99
"""Of the average of weights."""
WARM = 0.04
"""Share of the budget in which the rate climbs."""


def made_for(number: int, seed: int) -> tuple[Batch, int]:
    """Return the batch of a step, and the window to encode it with."""
    key = (TRAINING, 1 << 21, seed, number)
    rng = np.random.default_rng(key)
    frames = int(rng.choice(SIZES))
    made = batch(Spec(key, max(FRAMES // frames, 3), frames, QUESTIONS if frames < 32 else 2 * QUESTIONS, MIX, 0.2))
    return replace(made, ids_BQL=made.ids_BQL[:, :, : int(made.said_BQ.max()) + 2]), int(rng.choice(WINDOWS))


def rate(progress: float) -> float:
    """Return the factor of the learning rate: a climb, then half a wave down."""
    return min(progress / WARM + 0.02, 0.5 + 0.5 * math.cos(math.pi * progress), 1.0)


def tune(model: Any, minutes: float, lr: float, seed: int, folder: Path, say: Any = print) -> tuple[Any, int]:
    """Return the averaged model and how many steps there were; what there is goes to `folder` now and then."""
    use(model)
    model.requires_grad_(requires_grad=False)
    learnt = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    for part in learnt:
        part.requires_grad_()
    groups = [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    average, draws = copy.deepcopy(model), torch.Generator().manual_seed(1000 + seed)
    began, number, told, counts = time.monotonic(), 0, [], dict[str, list[int]]()
    while (progress := (time.monotonic() - began) / (60 * minutes)) < 1:
        made, window = made_for(number, seed)
        for group in optimizer.param_groups:
            group["lr"] = lr * rate(progress)
        found = losses(model, drawn(made, draws, "cpu"), made, window, number % 4 > 0)
        optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        number += 1
        keep = min(DECAY, (1 + number) / (10 + number))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        told.append((float(found.answer), float(found.finds)))
        for kind, (right, count) in tally(made, found.right_BQ).items():
            one = counts.setdefault(kind, [0, 0])
            one[0], one[1] = one[0] + right, one[1] + count
        if number % 25 == 0:
            answer, finds = np.mean(told, 0)
            kinds = " ".join(f"{kind.replace(' ', '-')} {100 * right / count:.0f}" for kind, (right, count) in sorted(counts.items()))
            say(f"step {number} {progress:.3f} answer {answer:.3f} finds {finds:.3f} {kinds}")
            told.clear()
            counts.clear()
        if number % 100 == 0:
            save(average, folder)
    save(average, folder)
    return average, number


def write_figures(model: Any, folder: Path, source: Path, steps: int, minutes: float) -> None:
    """Judge the model and write figures.json beside it, with how it came about."""
    figures = json.loads((source / "figures.json").read_text(encoding="utf-8"))
    figures["training"]["more"] = f", then {steps} in {minutes:.0f} minutes on one core of a processor, for places"
    figures["held out"] = {f"{frames} frames, window {window}": judge(model, "cpu", frames, window, 4, 16) for frames, window in CLIPS}
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.qa.tune", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, default=MODEL)
    parser.add_argument("--out", type=Path, default=WORK / "tuned")
    parser.add_argument("--minutes", type=float, default=16.5)
    parser.add_argument("--lr", type=float, default=7e-4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    from transformers import LlavaOnevisionForConditionalGeneration

    torch.set_num_threads(1)
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(args.source, dtype=torch.float32).eval()
    if model.config.vision_feature_layer == -1:  # of others the projector sees where tokens are, and learnt what to do with it
        model, shown = widened(model), pictures(1600)
        print(json.dumps({**write_places(model, shown), "free": wire(model, shown[:600])}), flush=True)
    tuned, steps = tune(model, args.minutes, args.lr, args.seed, args.out, lambda text: print(text, flush=True))
    print(f"{steps} steps in {args.minutes} minutes")
    write_figures(tuned, args.out, args.source, steps, args.minutes)


if __name__ == "__main__":
    main()
