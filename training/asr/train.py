"""Train the fixture: letters by CTC, another look-ahead in each step, so that one network serves them all.

Resumable: stop it with SIGTERM and start it again with the same command.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from perception.nets.fastconformer.model import FastConformer, begin
from perception.nets.fastconformer.plans import Plan
from torch import nn

from training.asr.data import SCALE, SHIFT, Batch, Batches
from training.asr.words import LETTERS
from training.painter.loop import Run

WORK = Path(__file__).resolve().parents[1] / "_work"
"""Checkpoints; ignored by git."""
PLAN = Plan(width=128, layers=5, heads=4, inner=512, factor=4, channels=48, tokens=len(LETTERS) + 1, blank=len(LETTERS),
            predictor=0, mel_shift=SHIFT, mel_scale=SCALE)  # fmt: skip
"""Four mel frames to an encoder frame, not eight: letters come faster than 80 ms."""


def make() -> FastConformer:
    """Return the untrained network."""
    return begin(FastConformer(PLAN))


def loss_of(model: FastConformer, batch: Batch, lookahead: int) -> torch.Tensor:
    """Return the CTC loss per letter."""
    scores_BLV = model.ctc(model.encode(batch.mel_BTM, lookahead))
    rows, length = scores_BLV.shape[:2]
    letters, counts = batch.targets
    lost = nn.functional.ctc_loss(scores_BLV.transpose(0, 1), letters, torch.full((rows,), length), counts,
                                  blank=PLAN.blank, reduction="sum", zero_infinity=True)  # fmt: skip
    return lost / counts.sum()


def train(path: Path, *, seconds: float = 0, steps: int = 0, lr: float = 1.5e-3) -> FastConformer:
    """Train to the budget and return the network with averaged weights."""
    torch.manual_seed(0)
    model, batches = make().train(), Batches(PLAN.mels)
    run = Run(path, {"model": model}, lr, seconds=seconds, steps=steps, decay=0.998)
    mean, began = 4.0, time.monotonic()
    for step in run:
        loss = loss_of(model, batches.draw(step), PLAN.lookaheads[step % len(PLAN.lookaheads)])
        run.learn(loss)
        mean = 0.98 * mean + 0.02 * float(loss.detach())
        if step % 50 == 49:
            print(f"step {step + 1} {run.spent_s:.0f}s ({time.monotonic() - began:.0f}s) loss {mean:.3f}", flush=True)
    model.load_state_dict(run.average.weights["model"])
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4800, help="the schedule ends with them")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--checkpoint", type=Path, default=WORK / "asr.pt")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train(args.checkpoint, seconds=args.seconds, lr=args.lr)


if __name__ == "__main__":
    main()
