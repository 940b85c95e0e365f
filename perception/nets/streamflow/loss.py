"""What training minimises: the error of the flow after each round, later rounds counting more (RAFT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

GAMMA = 0.8
"""What a round counts, as a share of the round after it."""
MOST_PX = 400.0
"""Faster pixels are not learned from."""


class Loss(NamedTuple):
    """Hold the loss, a scalar with a gradient, and the last round's mean end-point error in pixels."""

    total: Tensor
    error_px: Tensor


def sequence_loss(
    found: Sequence[Tensor],
    truth_BS2HW: Tensor,
    valid_BSHW: Tensor,
    *,
    gamma: float = GAMMA,
    most_px: float = MOST_PX,
) -> Loss:
    """Return the mean absolute error of all rounds' flows (B, S, 2, H, W), weighed by gamma^(rounds to come).

    The mean is over valid pixels alone (above 0.5 in `valid_BSHW`, slower than `most_px`), so that a hidden
    half does not halve it; truth may be anything elsewhere. With none valid it is zero.
    """
    usable = (valid_BSHW > 0.5) & (truth_BS2HW.norm(dim=2) < most_px)
    truth = truth_BS2HW.where(usable[:, :, None], 0)
    count = usable.sum().clamp(min=1)

    def mean(error_BSHW: Tensor) -> Tensor:
        return error_BSHW.where(usable, 0).sum() / count

    total = truth.new_zeros(())
    for k, flow in enumerate(reversed(found)):
        total = total + gamma**k * mean((flow - truth).abs().mean(2))
    return Loss(total, mean((found[-1].detach() - truth).norm(dim=2)))
