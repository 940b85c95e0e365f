"""Building blocks that the streaming detectors share, under the names of their published checkpoints.

YOLOX (Ge et al. 2021, arXiv:2107.08430) for backbone and head, RepVGG (Ding et al. 2021, arXiv:2101.03697)
for the folded convolutions, deformable convolution v1 (Dai et al. 2017, arXiv:1703.06211) for the neck.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BN_EPS, BN_MOMENTUM = 1e-3, 0.03


def norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm with YOLOX's constants."""
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


class ConvNorm(nn.Module):
    """Convolution of odd kernel, batch norm, SiLU; the side is divided by `stride`, rounded up."""

    def __init__(self, inner: int, outer: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, kernel, stride, kernel // 2, bias=False)
        self.bn = norm(outer)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return functional.silu(self.bn(self.conv(x_BCHW)))


class Bottleneck(nn.Module):
    """1x1, then 3x3, with a residual where wished."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, 1)
        self.conv2 = ConvNorm(channels, channels, 3)
        self._shortcut = shortcut

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x_BCHW))
        return x_BCHW + y if self._shortcut else y


class CSPLayer(nn.Module):
    """Send half the channels through `n` bottlenecks and join both halves."""

    def __init__(self, inner: int, outer: int, n: int, shortcut: bool = True) -> None:
        super().__init__()
        half = outer // 2
        self.conv1 = ConvNorm(inner, half, 1)
        self.conv2 = ConvNorm(inner, half, 1)
        self.conv3 = ConvNorm(2 * half, outer, 1)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(n)))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.conv3(torch.cat([self.m(self.conv1(x_BCHW)), self.conv2(x_BCHW)], 1))


class PyramidPool(nn.Module):
    """Look at 5, 9 and 13 cells around at once."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvNorm(channels, half, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(side, 1, side // 2) for side in (5, 9, 13))
        self.conv2 = ConvNorm(4 * half, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x = self.conv1(x_BCHW)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], 1))


class Focus(nn.Module):
    """Fold each 2x2 patch into channels (top left, bottom left, top right, bottom right), then convolve."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv = ConvNorm(4 * inner, outer, 3)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        left, right = x_BCHW[..., ::2], x_BCHW[..., 1::2]
        corners = (left[..., ::2, :], left[..., 1::2, :], right[..., ::2, :], right[..., 1::2, :])
        return self.conv(torch.cat(corners, 1))


def _pair(inner: int, outer: int, kernel: int) -> nn.Sequential:
    pair = nn.Sequential()
    pair.add_module("conv", nn.Conv2d(inner, outer, kernel, 1, kernel // 2, bias=False))
    pair.add_module("bn", norm(outer))
    return pair


class RepConv(nn.Module):
    """Train a 3x3 and a 1x1 side by side; `fold` makes one 3x3 of them that gives the same."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.rbr_dense = _pair(inner, outer, 3)
        self.rbr_1x1 = _pair(inner, outer, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if hasattr(self, "rbr_reparam"):
            return functional.silu(self.rbr_reparam(x_BCHW))
        return functional.silu(self.rbr_dense(x_BCHW) + self.rbr_1x1(x_BCHW))

    @torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
    def fold(self) -> None:
        """Replace both branches by one convolution with the running statistics in it. Twice does no harm."""
        if hasattr(self, "rbr_reparam"):
            return
        dense_weight, dense_bias = _folded(self.rbr_dense)
        point_weight, point_bias = _folded(self.rbr_1x1)
        outer, inner = dense_weight.shape[:2]
        conv = nn.Conv2d(inner, outer, 3, 1, 1).to(dense_weight)
        conv.weight.copy_(dense_weight + functional.pad(point_weight, (1, 1, 1, 1)))
        assert conv.bias is not None
        conv.bias.copy_(dense_bias + point_bias)
        del self.rbr_dense, self.rbr_1x1
        self.rbr_reparam = conv


def _folded(pair: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with its batch norm in it."""
    conv, bn = pair[0], pair[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(bn, nn.BatchNorm2d)
    assert bn.running_mean is not None
    assert bn.running_var is not None
    gain = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    return conv.weight * gain[:, None, None, None], bn.bias - bn.running_mean * gain


class DeformConv(nn.Module):
    """Deformable 3x3 convolution v1, one group, no bias, in plain torch: samples, then one product.

    The offsets of a tap are (dy, dx) in cells; what lies outside counts as zero.
    """

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outer, inner, 3, 3))
        self.conv_offset = nn.Conv2d(inner, 18, 3, 1, 1)
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv_offset.weight)
        assert self.conv_offset.bias is not None
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        batch, channels, height, width = x_BCHW.shape
        offset = self.conv_offset(x_BCHW).view(batch, 9, 2, height, width)
        rows = torch.arange(height, device=x_BCHW.device, dtype=x_BCHW.dtype)
        columns = torch.arange(width, device=x_BCHW.device, dtype=x_BCHW.dtype)
        taps = torch.arange(9, device=x_BCHW.device)
        dy = (taps // 3 - 1).to(x_BCHW.dtype)[None, :, None, None]
        dx = (taps % 3 - 1).to(x_BCHW.dtype)[None, :, None, None]
        y = rows[None, None, :, None] + dy + offset[:, :, 0]
        x = columns[None, None, None, :] + dx + offset[:, :, 1]
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
        flat = grid.reshape(batch, 9 * height, width, 2)
        seen = functional.grid_sample(
            x_BCHW, flat, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        seen = seen.view(batch, channels * 9, height, width)
        return functional.conv2d(seen, self.weight.reshape(self.weight.shape[0], channels * 9, 1, 1))
