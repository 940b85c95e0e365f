"""The phone network of the package `hama` as a torch module: a small Conformer (Gulati et al. 2020) with CTC.

Written down from the names and shapes of its weights and checked against its own program, which takes ten
times as long. It has neither positions nor a norm of its input: what it says depends on how loud the sound
is, and on the frames around, never on where in the sound they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, INNER, HEADS, BLOCKS, TAPS = 144, 576, 4, 4, 31
BANDS, BINS, WINDOW, HOP = 80, 201, 400, 160
PHONES = 191
LEAST_POWER = 1e-10


class Block(nn.Module):
    """Let frames look at all others and at their neighbours, between two halves of a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.widen, self.narrow = nn.LayerNorm(WIDTH), *_perceptron()
        self.seen, self.asks, self.told = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), _square()
        self.near, self.gated, self.mixed = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), _square()
        self.taps = nn.Conv1d(WIDTH, WIDTH, TAPS, padding=TAPS // 2, groups=WIDTH)
        self.after, self.widen_again, self.narrow_again = nn.LayerNorm(WIDTH), *_perceptron()
        self.last = nn.LayerNorm(WIDTH)

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + 0.5 * self.narrow(F.silu(self.widen(self.before(x_BTC))))
        asks, keys, values = (_heads(one) for one in self.asks(self.seen(x_BTC)).chunk(3, -1))
        found = F.scaled_dot_product_attention(asks, keys, values)
        x_BTC = x_BTC + self.told(found.transpose(1, 2).flatten(2))
        near = F.glu(self.gated(self.near(x_BTC)), -1).transpose(1, 2)
        x_BTC = x_BTC + self.mixed(F.silu(self.taps(near)).transpose(1, 2))
        x_BTC = x_BTC + 0.5 * self.narrow_again(F.silu(self.widen_again(self.after(x_BTC))))
        out: Tensor = self.last(x_BTC)
        return out


class PhoneConformer(nn.Module):
    """Give the log probability of each phone for each 20 ms of sound."""

    bank: Tensor
    real: Tensor
    imaginary: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", torch.zeros(BINS, BANDS))
        self.register_buffer("real", torch.zeros(BINS, 1, WINDOW))
        self.register_buffer("imaginary", torch.zeros(BINS, 1, WINDOW))
        self.halved = nn.Conv1d(BANDS, WIDTH, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.phones = nn.Linear(WIDTH, PHONES)

    def forward(self, samples_BN: Tensor) -> Tensor:
        """Return (batch, frames, PHONES) log probabilities of (batch, samples) at 16 kHz."""
        x_BTC = F.gelu(self.halved(self.levels(samples_BN))).transpose(1, 2)
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return F.log_softmax(self.phones(x_BTC), -1)

    def levels(self, samples_BN: Tensor) -> Tensor:
        """Return (batch, BANDS, frames) log power, a frame each 10 ms."""
        padded = F.pad(samples_BN[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")
        real, imaginary = (F.conv1d(padded, one, stride=HOP) for one in (self.real, self.imaginary))
        power = torch.einsum("bft,fm->bmt", real**2 + imaginary**2, self.bank)
        return power.clamp_min(LEAST_POWER).log()


def _perceptron() -> tuple[nn.Linear, nn.Linear]:
    return nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)


def _square() -> nn.Linear:
    return nn.Linear(WIDTH, WIDTH)


def _heads(x_BTC: Tensor) -> Tensor:
    return x_BTC.unflatten(-1, (HEADS, -1)).transpose(1, 2)
