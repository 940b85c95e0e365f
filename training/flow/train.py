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
from perception.nets.streamflow.plans import PLANS, STRIDE

from training.flow.begin import begin
from training.flow.match import match_loss
from training.flow.samples import EARLY_COUNT, FRAMES, Asked, Windows, ahead
from training.painter.loop import Run

WORK = Path(__file__).resolve().parents[1] / "_work"
"""Checkpoints; ignored by git."""
PLAN = "mini"
ITERATIONS = 3
"""Rounds of refinement while it learns; more may be asked for later."""
EARLY, NEAR = 0.28, 0.48
"""Up to which share of the budget cells are matched and nothing else is learnt, and up to which a flow that is
nearly right is set right; both at a fraction of what a whole step costs."""
COLD, FIRM = 0.6, 0.3
"""Shares of windows whose rounds begin with no motion, and of those whose cells do not begin off."""
MATCHING = 0.5
"""What matching counts then, less and less; nothing at the end."""
LR, NEARLY, LATER = 2.5e-3, 0.5, 0.4
"""Learning rate while cells are matched, and the shares of it after that: at more the last layer leaps by pixels, and
the decoder falls silent to be rid of it."""


def make() -> StreamFlow:
    """Return the untrained network."""
    torch.manual_seed(0)
    return StreamFlow(PLANS[PLAN], FRAMES)


class Losses(NamedTuple):
    """Hold what a step says of its windows; the first is a scalar with a gradient."""

    total: torch.Tensor
    error_px: float
    right: float


def matched(model: StreamFlow, windows: Windows) -> Losses:
    """Ask cells where they went."""
    match = match_loss(model.fnet(windows.frames_BT3HW / 127.5 - 1), windows.flow_BS2HW)
    return Losses(match.total, float("nan"), match.right)


def set_right(model: StreamFlow, windows: Windows, draws: torch.Generator) -> Losses:
    """Let one round set a flow right that is off by something else at each cell.

    So that what correlation says of a cell, and nothing else, tells what is asked for; the encoder of
    correlation rests.
    """
    with torch.no_grad():
        model.fnet.requires_grad_(False)
        seen, _ = model._see(windows.frames_BT3HW)
        model.fnet.requires_grad_(True)
    frames = windows.frames_BT3HW / 127.5 - 1
    state, context = model.cnet(frames[:, :-1]).flatten(0, 1).chunk(2, 1)
    context = context.relu()
    seen = seen._replace(context=context, likeness=model.att(context))
    truth = _of_cells(windows).flatten(0, 1)
    all_off = torch.rand(len(truth), 2, 1, 1, generator=draws) * 4 - 2
    each_off = torch.randn(truth.shape, generator=draws) * torch.rand(len(truth), 1, 1, 1, generator=draws) * 1.5
    _, flow = model._round(seen, state.tanh(), truth + all_off + each_off)
    off = STRIDE * (flow - truth)
    return Losses(off.abs().mean(), float(off.detach().norm(dim=1).mean()), float((off.detach().norm(dim=1) < 4).float().mean()))


def _of_cells(windows: Windows) -> torch.Tensor:
    """Return the flow in the middle of each cell, in cells, (B, S, 2, h, w)."""
    half = STRIDE // 2
    return windows.flow_BS2HW[..., half::STRIDE, half::STRIDE] / STRIDE


def refined(model: StreamFlow, windows: Windows, matching: float, draws: torch.Generator) -> Losses:
    """Let rounds find the flow, mostly from nothing; hidden pixels count as the others do.

    In part of the windows they begin with a share of the truth, as a warm start gives it, and in most of them
    each cell begins a little off.
    """
    maps: list[torch.Tensor] = []
    hook = model.fnet.register_forward_hook(lambda module, given, found: maps.append(found))
    truth = _of_cells(windows)
    some = torch.rand(len(truth), 1, 1, 1, 1, generator=draws)
    off = torch.rand(some.shape, generator=draws) - FIRM
    start = (some - COLD).clamp(min=0) / (1 - COLD) * truth + off.clamp(min=0) * torch.randn(truth.shape, generator=draws)
    found = model.every(windows.frames_BT3HW, ITERATIONS, start)
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
            is_early = run.progress < NEAR
            yield step, not is_early and bool(np.random.default_rng((2, step)).random() < large_share(run.progress)), is_early
            step += 1

    windows, was_matched, draws = ahead(asked()), False, torch.Generator()
    for step in run:
        now = next(windows)
        if len(now.frames_BT3HW) < EARLY_COUNT:
            loss, run.lr = refined(model, now, MATCHING * (1 - run.progress), draws.manual_seed(step)), LATER * lr
        elif run.progress < EARLY:
            loss, run.lr, was_matched = matched(model, now), lr, True
        else:
            if was_matched:
                begin(model, now.frames_BT3HW)
            loss, run.lr, was_matched = set_right(model, now, draws.manual_seed(step)), NEARLY * lr, False
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
