"""Train a small StreamFlow on made films; nothing but photographs of the scikit-image wheel goes in.

Resumable: stop it with SIGTERM and start it again with the same command.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from perception.nets.streamflow.loss import sequence_loss
from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import PLANS

from training.flow.begin import begin
from training.flow.match import match_loss
from training.flow.samples import EARLY_COUNT, FRAMES, Asked, Windows, ahead, draw
from training.painter.loop import Run

WORK = Path(__file__).resolve().parents[1] / "_work"
"""Checkpoints; ignored by git."""
PLAN = "mini"
ITERATIONS = 3
"""Rounds of refinement while it learns; more may be asked for later."""
EARLY = 0.12
"""Share of the budget in which cells are matched and nothing else is learnt, at a quarter of the cost of a step."""
MATCHING = 0.5
"""What matching counts then, less and less; nothing at the end."""
LR = 2.5e-3


def make() -> StreamFlow:
    """Return the untrained network."""
    torch.manual_seed(0)
    model = StreamFlow(PLANS[PLAN], FRAMES)
    begin(model, draw((0,)).frames_BT3HW)
    return model


class Losses(NamedTuple):
    """Hold what a step says of its windows; the first is a scalar with a gradient."""

    total: torch.Tensor
    error_px: float
    right: float


def loss_of(model: StreamFlow, windows: Windows, matching: float, is_early: bool = False) -> Losses:
    """Return what is to be minimised; hidden pixels count as the others do. Early on cells are matched, no more."""
    if is_early:
        match = match_loss(model.fnet(windows.frames_BT3HW / 127.5 - 1), windows.flow_BS2HW)
        return Losses(match.total, float("nan"), match.right)
    maps: list[torch.Tensor] = []
    hook = model.fnet.register_forward_hook(lambda module, given, found: maps.append(found))
    found = model.every(windows.frames_BT3HW, ITERATIONS)
    hook.remove()
    flow = sequence_loss(found, windows.flow_BS2HW, torch.ones_like(windows.flow_BS2HW[:, :, 0]))
    match = match_loss(maps[0], windows.flow_BS2HW)
    return Losses(flow.total + matching * match.total, float(flow.error_px), match.right)


def large_share(progress: float) -> float:
    """Return the chance of large windows: most is learnt on small ones, at half the cost."""
    return 0.1 + 0.6 * min(max(2.5 * progress - 1.5, 0.0), 1.0)


def train(path: Path, *, seconds: float = 0, steps: int = 0, lr: float = LR) -> StreamFlow:
    """Train to the budget and return the network with averaged weights."""
    model = make().train()
    run = Run(path, {"model": model}, lr, seconds=seconds, steps=steps, decay=0.995, save_every_s=150)
    mean: dict[str, float] = {}
    began = time.monotonic()

    def asked() -> Iterator[Asked]:
        step = run.step
        while True:
            is_early = run.progress < EARLY
            yield step, not is_early and bool(np.random.default_rng((2, step)).random() < large_share(run.progress)), is_early
            step += 1

    windows = ahead(asked())
    for step in run:
        now = next(windows)
        is_early = len(now.frames_BT3HW) == EARLY_COUNT
        loss = loss_of(model, now, MATCHING * (1 - run.progress), is_early)
        run.learn(loss.total)
        still = float(now.flow_BS2HW.norm(dim=2).mean())
        for name, value in (("loss", float(loss.total.detach())), ("epe", loss.error_px), ("still", still), ("right", loss.right)):
            before = mean.get(name, value)
            mean[name] = value if math.isnan(before) else 0.96 * before + 0.04 * value
        if step % 20 == 19:
            told = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
            print(f"step {step + 1} {run.spent_s:.0f}s ({time.monotonic() - began:.0f}s) {told}", flush=True)
    model.load_state_dict(run.average.weights["model"])
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4500, help="the schedule ends with them")
    parser.add_argument("--steps", type=int, default=0, help="end after so many steps instead")
    parser.add_argument("--lr", type=float, default=LR)
    parser.add_argument("--checkpoint", type=Path, default=WORK / "streamflow.pt")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train(args.checkpoint, seconds=args.seconds, steps=args.steps, lr=args.lr)


if __name__ == "__main__":
    main()
