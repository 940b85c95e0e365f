"""Train the watcher: first to see (single frames), then to remember (clips that grow), on one GPU or a processor.

Resumable: start it again with the same command. The schedule follows the share of the budget that is spent, in
minutes or in steps, so that it always ends with a finished decay.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .attend import use
from .batches import Batch, Spec, ahead, batch
from .model import TOKENS, Size, make
from .step import drawn, losses, tally

WORK = Path(__file__).resolve().parents[1] / "_work"
"""Checkpoints; ignored by git."""
TRAINING, HELD_OUT = 1, 9
"""First numbers of seeds: what is learnt from, and what is judged by, share none."""
SEEING, SEEN = 0.3, 0.95
"""Single frames are learnt until such a share is answered right, or for such a share of the budget at most."""
LONGEST = ((0.08, 8), (0.2, 24), (0.35, 48), (1.0, 96))
"""Up to which share of what is left then clips have at most so many frames."""
WINDOWS = (4, 8, 16, 32, 1 << 16)


@dataclass(frozen=True, slots=True)
class Budget:
    """Say how long to train and on how much at once."""

    minutes: float = 0.0
    steps: int = 0
    """Ends after so many steps instead."""
    frames: int = 4096
    """Of a batch of clips, about; single frames come a quarter of that."""
    questions: int = 8
    lr: float = 1.5e-3
    seed: int = 0
    decay: float = 0.998
    """Of the average of weights."""


def plan(share: float | None, seed: tuple[int, ...], frames: int, questions: int) -> tuple[Spec, int]:
    """Return what batch to make at a share of the budget for clips, and the window to encode it with.

    A share of None stands for single frames.
    """
    rng = np.random.default_rng(seed)
    if share is None:
        return Spec(seed, max(frames // 8, 1), 1, questions), 1
    most = next(most for end, most in LONGEST if share <= end or end == 1.0)
    sizes = [size for size in (2, 4, 8, 16, 24, 32, 48, 64, 96) if size <= most]
    few = sizes[-1] if rng.random() < 0.4 else int(rng.choice(sizes))
    asked = questions if few < 16 else 2 * questions
    return Spec(seed, max(frames // max(few, 8), 1), few, asked), int(rng.choice(WINDOWS))


def rate(progress: float) -> float:
    """Return the factor of the learning rate: a short climb, a plateau, a straight descent."""
    return min(progress / 0.02 + 0.02, 1.0, max((1 - progress) / 0.5, 0.01))


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add the options that what is taught to a trained watcher has in common."""
    parser.add_argument("--steps", type=int, default=0, help="end after so many steps instead")
    parser.add_argument("--frames", type=int, default=4096, help="of a batch, about")
    parser.add_argument("--questions", type=int, default=768, help="of a batch, about")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=max((os.cpu_count() or 2) - 2, 0), help="processes that make batches")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


class Training:
    """A run: weights, their average, and how much of the budget is spent."""

    def __init__(self, size: Size, budget: Budget, device: str, path: Path) -> None:
        self.budget, self.device, self.path = budget, device, path
        self.model = make(size, budget.seed).to(device).train()
        use(self.model)
        self.places = torch.nn.Linear(size.mind, TOKENS, device=device)
        """Tells each token's cell; trained beside the model, and not part of it."""
        learnt = [*self.model.parameters(), *self.places.parameters()]
        matrices, rest = [p for p in learnt if p.ndim > 1], [p for p in learnt if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=budget.lr, betas=(0.9, 0.98), fused=device != "cpu")
        self.average = copy.deepcopy(self.model).eval()
        self.step, self.spent_s = 0, 0.0
        self.seen_at: float | None = None
        """Share of the budget at which single frames were over."""
        if path.exists():
            self._load()

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        if self.budget.steps:
            return min(self.step / self.budget.steps, 1.0)
        return min(self.spent_s / (60 * self.budget.minutes), 1.0)

    @property
    def share(self) -> float | None:
        """Share that is spent of what clips have; None while single frames are learnt."""
        if self.seen_at is None and self.progress >= SEEING:
            self.seen_at = self.progress
        return None if self.seen_at is None else (self.progress - self.seen_at) / max(1 - self.seen_at, 1e-6)

    def learn(self, made: Batch, window: int, draws: torch.Generator) -> torch.Tensor:
        """Take one step; returns answer loss, loss of finding and share of right answers, not waited for."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.budget.lr * rate(self.progress)
        frames = drawn(made, draws, self.device)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.device != "cpu"):
            found = losses(self.model, frames, made, window, self.step % 4 > 0, self.places)
        self.optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(self.budget.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        return torch.stack((found.answer, found.finds, found.right_BQ.float().mean()))

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(), "places": self.places.state_dict(), "average": self.average.state_dict(), "step": self.step,
            "optimizer": self.optimizer.state_dict(), "spent_s": self.spent_s, "seen_at": self.seen_at,
        }  # fmt: skip
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def _load(self) -> None:
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.places.load_state_dict(state["places"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.spent_s, self.seen_at = state["step"], state["spent_s"], state["seen_at"]


def train(size: Size, budget: Budget, device: str, path: Path, pool: Pool | None = None, say: Any = print) -> Training:
    """Train to the budget and save; the averaged weights are `Training.average`. `pool` makes batches."""
    run = Training(size, budget, device, path)
    draws = torch.Generator(device).manual_seed(1000 * budget.seed + run.step)
    windows: list[int] = []

    def specs() -> Iterator[Spec]:
        number = run.step
        while True:
            spec, window = plan(run.share, (TRAINING, budget.seed, number), budget.frames, budget.questions)
            windows.append(window)
            number += 1
            yield spec

    batches = ahead(specs(), pool)
    since, saved, told = time.monotonic(), time.monotonic(), []
    while run.progress < 1:
        made = next(batches)
        told.append(run.learn(made, windows.pop(0), draws))
        if len(told) == 50 or (budget.steps and run.step >= budget.steps):
            answer, finds, right = torch.stack(told).mean(0).tolist()
            told.clear()
            if run.seen_at is None and right >= SEEN:
                run.seen_at = run.progress
            say(
                f"step {run.step} {run.progress:.3f} {run.spent_s:.0f}s clips {made.view_BT.shape[0]}x{made.view_BT.shape[1]} "
                f"answer {answer:.3f} finds {finds:.3f} right {right:.3f}"
            )
        now = time.monotonic()
        run.spent_s += now - since
        since = now
        if now - saved > 120:
            run.save()
            saved = now
    run.save()
    return run


@torch.no_grad()
def judge(model: Any, device: str, frames: int, window: int, batches: int = 4, clips: int = 32, seed: int = 0) -> dict[str, float]:
    """Return the share of right answers by kind, and in "all", on held-out clips of which every frame is seen."""
    total: dict[str, list[int]] = {}
    draws = torch.Generator(device).manual_seed(HELD_OUT)
    for number in range(batches):
        made = batch(Spec((HELD_OUT, seed, frames, number), clips, frames, whole=1.0))
        for kind, (right, count) in tally(made, losses(model, drawn(made, draws, device), made, window).right_BQ).items():
            for name in (kind, "all"):
                one = total.setdefault(name, [0, 0])
                one[0], one[1] = one[0] + right, one[1] + count
    return {name: round(right / count, 4) for name, (right, count) in total.items()}
