"""The part every training step shares: a budget, two optimizers, averaging, checkpoints that survive a kill.

The learning rate follows the share of the budget already spent, in seconds or in steps, so a run always ends
with a finished cosine however busy the machine was. A checkpoint holds everything, random state included: a run
stopped and resumed under a step budget ends with the same weights as one that was never stopped.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn


def orthogonal(matrix_RC: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Return roughly the nearest matrix with all singular values near 1 (quintic Newton-Schulz, as in Muon).

    Every iterate is a polynomial of the Gram matrix times the start, so only square matrices of the short side are
    multiplied: a third of the work for a kernel that is nine times wider than tall.
    """
    tall = matrix_RC.shape[0] > matrix_RC.shape[1]
    x = matrix_RC.T if tall else matrix_RC
    x = x / (x.norm() + 1e-7)
    gram, eye = x @ x.T, torch.eye(x.shape[0])
    total = eye
    for _ in range(iterations):
        p = 3.4445 * eye + gram @ (2.0315 * gram - 4.7750 * eye)
        total, gram = p @ total, p @ gram @ p
    x = total @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per weight matrix (Jordan et al. 2024); a kernel (O, I, h, w) is (O, I*h*w)."""

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["velocity"] = torch.zeros_like(p)
                velocity = state["velocity"].mul_(group["momentum"]).add_(p.grad)
                push = p.grad.add(velocity, alpha=group["momentum"]).reshape(p.shape[0], -1)
                push = orthogonal(push) * (0.2 * math.sqrt(max(push.shape)))
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(push.view(p.shape), alpha=-group["lr"])


def optimizers(modules: list[nn.Module], lr: float, muon: bool = True) -> list[torch.optim.Optimizer]:
    """Return Muon for kernels and matrices, AdamW for the rest (embeddings, biases, norms, first and last kernels)."""
    matrices, rest = [], []
    for module in modules:
        for name, p in module.named_parameters():
            if not p.requires_grad:
                continue
            wide = p.ndim >= 2 and min(p.shape[0], p[0].numel()) >= 16 and "embedding.weight" not in name
            (matrices if muon and wide else rest).append(p)
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=0.0)]
    return [Muon(matrices, lr), *found] if matrices else found


def rate(progress: float, warm: float = 0.02) -> float:
    """Return the learning rate factor for a share of the budget: short linear warm-up, then cosine to 0."""
    if progress < warm:
        return (progress + 1e-3) / (warm + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warm) / (1 - warm))))


class Average:
    """Exponential moving average of the modules' weights, slower as training goes on."""

    def __init__(self, modules: dict[str, nn.Module], decay: float = 0.999) -> None:
        self.modules, self.decay, self.updates = modules, decay, 0
        self.weights = {n: {k: v.clone() for k, v in m.state_dict().items()} for n, m in modules.items()}

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, module in self.modules.items():
            mine = self.weights[name]
            for key, value in module.state_dict().items():
                if value.is_floating_point():
                    mine[key].lerp_(value, 1 - decay)


class Run:
    """A resumable run: iterate it for steps, call `learn(loss)` in each."""

    def __init__(self, path: Path, modules: dict[str, nn.Module], lr: float, *, seconds: float = 0, steps: int = 0,
                 muon: bool = True, decay: float = 0.999, seed: int = 0, save_every_s: float = 300) -> None:  # fmt: skip
        self.path, self.modules, self.lr = path, modules, lr
        self.seconds, self.steps, self.save_every_s = seconds, steps, save_every_s
        self.optimizers = optimizers(list(modules.values()), lr, muon)
        self.average = Average(modules, decay)
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.step, self.spent_s, self.stopping = 0, 0.0, False
        self.params = [p for m in modules.values() for p in m.parameters() if p.requires_grad]
        self.pool: ThreadPoolExecutor | None = None
        if path.exists():
            self._load()

    @property
    def progress(self) -> float:
        """Share of the budget spent, 0 to 1."""
        return self.step / self.steps if self.steps else self.spent_s / self.seconds

    def _load(self) -> None:
        state = torch.load(self.path, weights_only=False)
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average.weights, self.average.updates = state["average"], state["updates"]
        self.step, self.spent_s = state["step"], state["spent_s"]
        self.rng.bit_generator.state = state["numpy"]
        torch.set_rng_state(state["torch"])
        print(f"resumed {self.path.name} at step {self.step}, {self.spent_s:.0f} s", flush=True)

    def save(self) -> None:
        """Write the checkpoint under a second name, then rename: a kill leaves the old one whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        torch.save({
            "modules": {n: m.state_dict() for n, m in self.modules.items()},
            "optimizers": [o.state_dict() for o in self.optimizers],
            "average": self.average.weights, "updates": self.average.updates, "step": self.step,
            "spent_s": self.spent_s, "numpy": self.rng.bit_generator.state, "torch": torch.get_rng_state(),
        }, part)  # fmt: skip
        os.replace(part, self.path)

    def __iter__(self) -> Iterator[int]:
        before = signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))
        last, saved = time.monotonic(), time.monotonic()
        try:
            while self.progress < 1 and not self.stopping:
                for optimizer in self.optimizers:
                    for group in optimizer.param_groups:
                        group["lr"] = self.lr * rate(self.progress)
                yield self.step
                self.step += 1
                now = time.monotonic()
                self.spent_s, last = self.spent_s + now - last, now
                if now - saved > self.save_every_s:
                    self.save()
                    saved = now
        finally:
            signal.signal(signal.SIGTERM, before)
            self.save()

    def learn(self, loss: torch.Tensor) -> None:
        """Take one optimizer step down `loss` (scalar)."""
        self._apply(torch.autograd.grad(loss, self.params, allow_unused=True))

    def learn_split(self, loss: Callable[..., torch.Tensor], pieces: Sequence[object]) -> None:
        """Take one step down the mean loss of the pieces, each on its own thread and core.

        Small convolutions share badly between cores; whole pieces share well. `loss` must draw no random numbers.
        """
        if self.pool is None:
            self.pool = ThreadPoolExecutor(len(pieces), initializer=lambda: torch.set_num_threads(1))
        parts = list(self.pool.map(lambda piece: torch.autograd.grad(loss(piece), self.params, allow_unused=True), pieces))
        self._apply([None if g[0] is None else torch.stack(g).mean(0) for g in zip(*parts, strict=True)])

    def _apply(self, gradients: Sequence[torch.Tensor | None], clip: float = 1.0) -> None:
        for p, g in zip(self.params, gradients, strict=True):
            p.grad = g
        nn.utils.clip_grad_norm_(self.params, clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update()
