"""A training run that is killed and resumed ends with the same weights as one that never stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from training.painter.loop import Run, orthogonal, rate


def make() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 3, 1))


def work(path: Path, until: int) -> tuple[nn.Module, Run]:
    module = make()
    run = Run(path, {"net": module}, 1e-2, steps=12)
    for step in run:
        x = torch.from_numpy(run.rng.standard_normal((2, 3, 8, 8))).float() + 0.1 * torch.randn(2, 3, 8, 8)
        run.learn(module(x).square().mean())
        if step + 1 == until:
            run.stopping = True
    return module, run


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    whole, _ = work(tmp_path / "whole.pt", 99)
    work(tmp_path / "broken.pt", 5)
    resumed, run = work(tmp_path / "broken.pt", 99)
    assert run.step == 12
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_rate_warms_up_and_ends_at_nothing() -> None:
    rates = [rate(k / 100) for k in range(101)]
    assert rates[0] < 0.1
    assert max(rates) == pytest.approx(1.0, abs=0.02)
    assert rates[100] == pytest.approx(0.0, abs=1e-6)
    assert rates[3:] == sorted(rates[3:], reverse=True)


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (32, 32)])
def test_orthogonalised_steps_push_equally_in_all_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    spread = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert spread.max() < 1.4
    assert spread.min() > 0.3
