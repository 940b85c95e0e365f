"""One round of refinement: motion from correlation and flow, spread over the picture and along time.

Super kernels are SKFlow (arXiv:2205.14623), global motion is GMA (Jiang et al. 2021, arXiv:2104.02409); the
temporal transformer and the flow head that sees all pairs at once are StreamFlow's (arXiv:2311.17099).
Maps of S = T - 1 pairs are folded into the batch, (B * S, C, h, w), pairs of a window side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import Mlp, SuperKernel
from .plans import STRIDE, Plan

MASK_GAIN = 0.25
"""Evens out the gradients of mask and flow."""


class MotionEncoder(nn.Module):
    """Make motion of what was looked up in the correlation and of the flow so far, which comes last."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        kernels = (1, plan.wide)
        (wide, narrow), (thick, thin) = plan.look, plan.flow
        self.convc1 = SuperKernel(plan.taps, wide, kernels)
        self.convc2 = SuperKernel(wide, narrow, kernels)
        self.convf1 = nn.Conv2d(2, thick, 1)
        self.convf2 = SuperKernel(thick, thin, kernels)
        self.conv = SuperKernel(narrow + thin, plan.hidden - 2, kernels)

    def forward(self, flow_B2HW: Tensor, seen_BCHW: Tensor) -> Tensor:
        seen = self.convc2(functional.gelu(self.convc1(seen_BCHW)))
        flow = self.convf2(self.convf1(flow_B2HW))
        return torch.cat((self.conv(torch.cat((seen, flow), 1)), flow_B2HW), 1)


class Likeness(nn.Module):
    """Say how much each cell of a context map has in common with each other, (B, H * W, H * W).

    Rows sum to 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_qk = nn.Conv2d(channels, 2 * channels, 1, bias=False)

    def forward(self, context_BCHW: Tensor) -> Tensor:
        q, k = self.to_qk(context_BCHW).flatten(2).chunk(2, 1)
        scale = context_BCHW.shape[1] ** -0.5
        return ((scale * q).transpose(1, 2) @ k).softmax(-1)


class Aggregate(nn.Module):
    """Add the motion of cells that look alike; hidden ones so move with what they belong to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_v = nn.Conv2d(channels, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, likeness_BNN: Tensor, motion_BCHW: Tensor) -> Tensor:
        values = self.to_v(motion_BCHW).flatten(2)
        spread = (likeness_BNN @ values.transpose(1, 2)).transpose(1, 2)
        return motion_BCHW + self.gamma * spread.reshape(motion_BCHW.shape)


class TimeAttention(nn.Module):
    """One head over the few tokens of one cell, (N, S, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x_NSC: Tensor) -> Tensor:
        q, k, v = self.qkv(x_NSC)[:, None].chunk(3, -1)
        return self.proj(functional.scaled_dot_product_attention(q, k, v)[:, 0])


class TimeBlock(nn.Module):
    """A pre-norm transformer block that begins as the identity.

    The published code begins with zeros everywhere, norms included, where no gradient reaches a weight and
    only two biases can learn. Zeros in the last layer of each branch begin the same and do learn.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.attn = TimeAttention(channels)
        self.mlp = Mlp(channels, 2 * channels)
        for last in (self.attn.proj, self.mlp.fc2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x_NSC: Tensor) -> Tensor:
        x = x_NSC + self.attn(self.norm1(x_NSC))
        return x + self.mlp(self.norm2(x))


class Temporal(nn.Module):
    """Let the pairs of a window speak to each other, cell by cell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transformer_block = TimeBlock(channels)

    def forward(self, motion_BCHW: Tensor, steps: int) -> Tensor:
        folded, channels, height, width = motion_BCHW.shape
        apart = motion_BCHW.view(folded // steps, steps, channels, height * width).permute(0, 3, 1, 2)
        x = self.transformer_block(apart.reshape(-1, steps, channels))
        x = x.view(folded // steps, height * width, steps, channels).permute(0, 2, 3, 1)
        return x.reshape(folded, channels, height, width)


class Update(nn.Module):
    """Bring state and flow forward by one round; `weights` tells how to enlarge the flow, if wanted."""

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__()
        hidden = plan.hidden
        self._steps = steps
        self.encoder = MotionEncoder(plan)
        self.aggregator = Aggregate(hidden)
        self.gru = SuperKernel(5 * hidden, hidden, (1, plan.medium))
        self.mask = nn.Sequential(
            nn.Conv2d(hidden, 2 * hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * hidden, 9 * STRIDE * STRIDE, 1),
        )
        self.transformer_block = Temporal(hidden)
        self.flow_head = SuperKernel(hidden * steps, 2 * steps, (1, plan.wide))

    def forward(
        self, state: Tensor, context: Tensor, seen: Tensor, flow: Tensor, likeness: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the state and what to add to the flow, (B * S, 2, h, w)."""
        motion = self.encoder(flow, seen)
        spread = self.aggregator(likeness, motion)
        along = self.transformer_block(motion, self._steps)
        state = self.gru(torch.cat((state, context, motion, spread, along), 1))
        folded, channels, height, width = state.shape
        joint = state.reshape(folded // self._steps, self._steps * channels, height, width)
        return state, self.flow_head(joint).reshape(folded, 2, height, width)

    def weights(self, state: Tensor) -> Tensor:
        """Return what `sides.enlarged` weighs a cell's neighbours by, (B * S, 9 * 64, h, w)."""
        return MASK_GAIN * self.mask(state)
