"""The loss over rounds, against its sum written out, and that it teaches."""

from __future__ import annotations

import math

import pytest
import torch

from perception.nets.streamflow.loss import sequence_loss
from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import PLANS


def test_later_rounds_count_more_and_invalid_pixels_not_at_all() -> None:
    torch.manual_seed(0)
    truth, valid = torch.randn(2, 3, 2, 4, 5), (torch.rand(2, 3, 4, 5) > 0.3).float()
    found = [torch.randn(2, 3, 2, 4, 5) for _ in range(3)]
    total = error = 0.0
    places = valid.nonzero().tolist()
    for b, s, j, i in places:
        for k in range(3):
            each = (found[k][b, s, :, j, i] - truth[b, s, :, j, i]).abs()
            total += 0.5 ** (2 - k) * float(each.sum()) / 2 / len(places)
        error += math.dist(found[2][b, s, :, j, i], truth[b, s, :, j, i]) / len(places)
    truth_with_holes = truth.masked_fill(valid[:, :, None] == 0, float("nan"))
    loss = sequence_loss(found, truth_with_holes, valid, gamma=0.5)
    assert float(loss.total) == pytest.approx(total, rel=1e-5)
    assert float(loss.error_px) == pytest.approx(error, rel=1e-5)


def test_pixels_that_are_too_fast_are_left_out() -> None:
    truth = torch.zeros(1, 1, 2, 2, 2)
    truth[..., 0, 0] = 500
    loss = sequence_loss([torch.ones_like(truth)], truth, torch.ones(1, 1, 2, 2))
    assert float(loss.total) == 1
    assert float(sequence_loss([truth], truth, torch.zeros(1, 1, 2, 2)).total) == 0


def test_a_network_learns_by_it() -> None:
    torch.manual_seed(1)
    model = StreamFlow(PLANS["tiny"], 3).train()
    coarse = torch.rand(1, 3, 32, 32) * 255
    first = torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bilinear")
    frames = torch.stack([first.roll(3 * k, -1) for k in range(3)], 1)
    truth = torch.zeros(1, 2, 2, 128, 128)
    truth[:, :, 0] = 3.0
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    errors = []
    for _ in range(8):
        loss = sequence_loss(model.every(frames, 1), truth, torch.ones(1, 2, 128, 128))
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        errors.append(float(loss.error_px))
    assert errors[-1] < 0.8 * errors[0]
