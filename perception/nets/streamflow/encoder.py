"""The encoder that sees all frames of a window as one picture: two stages of Twins-SVT over stacked frames.

Twins-SVT is Chu et al. 2021, arXiv:2104.13840. StreamFlow (Sun et al. 2024, arXiv:2311.17099) puts the maps
of T frames one below the other, (T * h, w), before attention: windows, positional convolution and global
attention then cross from frame to frame without a weight more. A frame's features so depend on the others of
its window and cannot be kept for the next one.

Tokens are held as maps, (B, T * h, w, C).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import Mlp
from .plans import Plan, Stage

PATCHES = (4, 2)
GROWTH = 4
BLOCK_EPS = 1e-6
"""Of the norms before attention and before the MLP; all others have torch's."""


class WindowAttention(nn.Module):
    """Let tokens attend to those of the same window; a map is filled to whole windows by zeros that count."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self._heads, self._side = heads, side
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        batch, height, width, channels = x_BHWC.shape
        side, heads = self._side, self._heads
        x = functional.pad(x_BHWC, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.view(batch, rows, side, columns, side, channels).transpose(2, 3)
        qkv = self.qkv(x.reshape(batch * rows * columns, side * side, channels))
        q, k, v = qkv.view(-1, side * side, 3, heads, channels // heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        x = x.reshape(batch, rows, columns, side, side, channels).transpose(2, 3)
        x = x.reshape(batch, rows * side, columns * side, channels)[:, :height, :width]
        return self.proj(x)


class GlobalAttention(nn.Module):
    """Let every token attend to a coarse map of all of them; rows and columns that fill no square are left
    out of the coarse map.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self._heads = heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.sr = nn.Conv2d(channels, channels, reduction, reduction)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        batch, height, width, channels = x_BHWC.shape
        each = channels // self._heads
        q = self.q(x_BHWC).view(batch, height * width, self._heads, each).transpose(1, 2)
        coarse = self.sr(x_BHWC.permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        kv = self.kv(self.norm(coarse)).view(batch, -1, 2, self._heads, each)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        x = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.proj(x.reshape(batch, height, width, channels))


class Block(nn.Module):
    """Attention, then an MLP, each behind a norm and with a residual."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.mlp = Mlp(channels, GROWTH * channels)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x = x_BHWC + self.attn(self.norm1(x_BHWC))
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    """Make one token of each square, frame by frame, and put the frames one below the other."""

    def __init__(self, inner: int, outer: int, side: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inner, outer, side, side)
        self.norm = nn.LayerNorm(outer)

    def forward(self, x_BTCHW: Tensor) -> Tensor:
        batch, frames = x_BTCHW.shape[:2]
        x = self.proj(x_BTCHW.flatten(0, 1))
        channels, height, width = x.shape[1:]
        x = x.view(batch, frames, channels, height, width).permute(0, 1, 3, 4, 2)
        return self.norm(x.reshape(batch, frames * height, width, channels))


class PlaceConv(nn.Module):
    """Tell tokens where they are: a depth-wise convolution with a residual, which sees the map's borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, groups=channels))

    def forward(self, x_BHWC: Tensor) -> Tensor:
        return x_BHWC + self.proj(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Svt(nn.Module):
    """The stages, under the names of timm's Twins."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        inner = (3, plan.stages[0].channels)
        self.patch_embeds = nn.ModuleList(
            Patches(before, stage.channels, side)
            for before, stage, side in zip(inner, plan.stages, PATCHES, strict=True)
        )
        self.blocks = nn.ModuleList(_pair(stage, plan.window) for stage in plan.stages)
        self.pos_block = nn.ModuleList(PlaceConv(stage.channels) for stage in plan.stages)
        if plan.unused_norm:
            self.norm = nn.LayerNorm(plan.unused_norm, eps=BLOCK_EPS)
            self.norm.requires_grad_(False)  # nothing reads it; checkpoints hold it
        self.apply(_begin)

    def forward(self, x_BTCHW: Tensor) -> Tensor:
        frames = x_BTCHW.shape[1]
        for patches, pair, place in zip(self.patch_embeds, self.blocks, self.pos_block, strict=True):
            near, far = pair
            x = far(place(near(patches(x_BTCHW))))
            batch, rows, width, channels = x.shape
            apart = x.view(batch, frames, rows // frames, width, channels)
            x_BTCHW = apart.permute(0, 1, 4, 2, 3)
        return x_BTCHW


class Encoder(nn.Module):
    """Frames (B, T, 3, H, W), -1 to 1, sides multiples of 8, to maps (B, T, C, H/8, W/8)."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.svt = Svt(plan)

    def forward(self, frames_BT3HW: Tensor) -> Tensor:
        return self.svt(frames_BT3HW)


def _pair(stage: Stage, window: int) -> nn.ModuleList:
    near = WindowAttention(stage.channels, stage.heads, window)
    far = GlobalAttention(stage.channels, stage.heads, stage.reduction)
    return nn.ModuleList((Block(stage.channels, near), Block(stage.channels, far)))


@torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
def _begin(module: nn.Module) -> None:
    """Draw first weights as Twins does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        module.weight.normal_(0, math.sqrt(2 / fan_out))
        assert module.bias is not None
        nn.init.zeros_(module.bias)
