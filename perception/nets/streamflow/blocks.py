"""What encoder and decoder of StreamFlow share, under the names of its published checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

GROWTH = 1.5
"""Hidden channels of a super-kernel block's point-wise pairs, as a share of what comes in."""


class Mlp(nn.Module):
    """Two linear layers with a GELU between them; tokens (..., C) keep their width."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class SuperKernel(nn.Module):
    """Mix a map point by point and by large depth-wise kernels, each with a residual.

    SKFlow (Sun et al. 2022, arXiv:2205.14623): what a wide view costs grows with the channels and not with
    their square.
    """

    def __init__(self, inner: int, outer: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.conv_list = nn.ModuleList(
            nn.Conv2d(inner, inner, side, padding=side // 2, groups=inner) for side in kernels
        )
        self.ffn1 = _points(inner, inner)
        self.pw = nn.Conv2d(inner, inner, 1)
        self.ffn2 = _points(inner, outer)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x = functional.gelu(x_BCHW + self.ffn1(x_BCHW))
        for conv in self.conv_list:
            x = functional.gelu(x + _by_channel(conv, x))
        return self.ffn2(functional.gelu(x + self.pw(x)))


def _by_channel(conv: nn.Module, x_BCHW: Tensor) -> Tensor:
    """Apply a depth-wise convolution; one of side 1 is a gain, which torch would run channel by channel."""
    assert isinstance(conv, nn.Conv2d)
    if conv.kernel_size != (1, 1) or conv.bias is None:
        return conv(x_BCHW)
    return torch.addcmul(conv.bias[:, None, None], conv.weight[:, 0], x_BCHW)


def _points(inner: int, outer: int) -> nn.Sequential:
    hidden = int(GROWTH * inner)
    return nn.Sequential(nn.Conv2d(inner, hidden, 1), nn.GELU(), nn.Conv2d(hidden, outer, 1))
