"""What sees a single frame: CSPDarknet and the two necks that join its maps.

The neck of DAMO-StreamNet (He et al. 2023, arXiv:2303.17144) is the giraffe of DAMO-YOLO (Xu et al. 2022,
arXiv:2211.15444) with deformable blocks; StreamYOLO (Yang et al. 2022, arXiv:2203.12338) has YOLOX's own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import ConvNorm, CSPLayer, DeformConv, Focus, PyramidPool, RepConv

Widths = tuple[int, int, int]


class Pyramid(NamedTuple):
    """Maps of one frame at strides 8, 16 and 32: (B, C, ceil(H / stride), ceil(W / stride))."""

    p3: Tensor
    p4: Tensor
    p5: Tensor


def widths(width: float) -> Widths:
    """Return the channels at strides 8, 16 and 32."""
    return int(256 * width), int(512 * width), int(1024 * width)


def upsampled(x_BCHW: Tensor, like: Tensor) -> Tensor:
    """Repeat cells until the map has the other's sides: odd sides are not twice their halves."""
    return functional.interpolate(x_BCHW, size=like.shape[-2:], mode="nearest")


class Darknet(nn.Module):
    """CSPDarknet: pictures (B, 3, H, W), 0 to 255, to the maps at strides 8, 16, 32."""

    def __init__(self, depth: float, width: float) -> None:
        super().__init__()
        base, n = int(64 * width), max(round(3 * depth), 1)
        self.stem = Focus(3, base)
        self.dark2 = nn.Sequential(ConvNorm(base, 2 * base, 3, 2), CSPLayer(2 * base, 2 * base, n))
        self.dark3 = nn.Sequential(ConvNorm(2 * base, 4 * base, 3, 2), CSPLayer(4 * base, 4 * base, 3 * n))
        self.dark4 = nn.Sequential(ConvNorm(4 * base, 8 * base, 3, 2), CSPLayer(8 * base, 8 * base, 3 * n))
        self.dark5 = nn.Sequential(
            ConvNorm(8 * base, 16 * base, 3, 2),
            PyramidPool(16 * base),
            CSPLayer(16 * base, 16 * base, n, shortcut=False),
        )

    def forward(self, picture_B3HW: Tensor) -> Pyramid:
        c3 = self.dark3(self.dark2(self.stem(picture_B3HW)))
        c4 = self.dark4(c3)
        return Pyramid(c3, c4, self.dark5(c4))


class DeformBlock(nn.Module):
    """A folded 3x3, a deformable 3x3, and a residual."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = DeformConv(hidden, channels)
        self.conv2 = RepConv(channels, hidden)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.conv1(self.conv2(x_BCHW))


class Merge(nn.Module):
    """Join maps: one half goes on as it is, the other through `n` blocks whose outputs are all kept."""

    def __init__(self, inner: int, outer: int, ratio: float, n: int) -> None:
        super().__init__()
        first = outer // 2
        middle = outer - first
        self.conv1 = ConvNorm(inner, first, 1)
        self.conv2 = ConvNorm(inner, middle, 1)
        self.convs = nn.Sequential(*(DeformBlock(middle, int(middle * ratio)) for _ in range(n)))
        self.conv3 = ConvNorm(middle * n + first, outer, 1)

    def forward(self, *maps_BCHW: Tensor) -> Tensor:
        x = torch.cat(maps_BCHW, 1)
        kept, y = [self.conv1(x)], self.conv2(x)
        for block in self.convs:
            y = block(y)
            kept.append(y)
        return self.conv3(torch.cat(kept, 1))


class Giraffe(nn.Module):
    """The neck of DAMO-StreamNet: each level hears from those above and below, twice."""

    def __init__(self, channels: Widths, ratio: float, n: int = 3) -> None:
        super().__init__()
        c3, c4, c5 = channels
        self.bu_conv13 = ConvNorm(c4, c4, 3, 2)
        self.merge_3 = Merge(c4 + c5, c5, ratio, n)
        self.bu_conv24 = ConvNorm(c3, c3, 3, 2)
        self.merge_4 = Merge(c3 + c4 + c5, c4, ratio, n)
        self.merge_5 = Merge(c4 + c3, c3, ratio, n)
        self.bu_conv57 = ConvNorm(c3, c3, 3, 2)
        self.merge_7 = Merge(c3 + c4, c4, ratio, n)
        self.bu_conv46 = ConvNorm(c4, c4, 3, 2)
        self.bu_conv76 = ConvNorm(c4, c4, 3, 2)
        self.merge_6 = Merge(c4 + c4 + c5, c5, ratio, n)

    def forward(self, seen: Pyramid) -> Pyramid:
        c3, c4, c5 = seen
        top = self.merge_3(c5, self.bu_conv13(c4))
        middle = self.merge_4(c4, self.bu_conv24(c3), upsampled(top, c4))
        p3 = self.merge_5(c3, upsampled(middle, c3))
        p4 = self.merge_7(middle, self.bu_conv57(p3))
        p5 = self.merge_6(top, self.bu_conv46(middle), self.bu_conv76(p4))
        return Pyramid(p3, p4, p5)


class GiraffeEncoder(nn.Module):
    """Backbone and neck of DAMO-StreamNet."""

    def __init__(self, depth: float, width: float, ratio: float, n: int = 3) -> None:
        super().__init__()
        self.backbone = Darknet(depth, width)
        self.neck = Giraffe(widths(width), ratio, n)

    def forward(self, picture_B3HW: Tensor) -> Pyramid:
        pyramid: Pyramid = self.neck(self.backbone(picture_B3HW))
        return pyramid


class PathEncoder(nn.Module):
    """Backbone and neck (PAFPN) of YOLOX and StreamYOLO, with the latter's squeezing convolutions."""

    def __init__(self, depth: float, width: float, *, squeezes: bool = True) -> None:
        super().__init__()
        c3, c4, c5 = widths(width)
        n = round(3 * depth)
        self.backbone = Darknet(depth, width)
        self.lateral_conv0 = ConvNorm(c5, c4, 1)
        self.C3_p4 = CSPLayer(2 * c4, c4, n, shortcut=False)
        self.reduce_conv1 = ConvNorm(c4, c3, 1)
        self.C3_p3 = CSPLayer(2 * c3, c3, n, shortcut=False)
        self.bu_conv2 = ConvNorm(c3, c3, 3, 2)
        self.C3_n3 = CSPLayer(2 * c3, c4, n, shortcut=False)
        self.bu_conv1 = ConvNorm(c4, c4, 3, 2)
        self.C3_n4 = CSPLayer(2 * c4, c5, n, shortcut=False)
        if squeezes:
            self.jian2 = ConvNorm(c3, c3 // 2, 1)
            self.jian1 = ConvNorm(c4, c4 // 2, 1)
            self.jian0 = ConvNorm(c5, c5 // 2, 1)

    def forward(self, picture_B3HW: Tensor) -> Pyramid:
        c3, c4, c5 = self.backbone(picture_B3HW)
        top = self.lateral_conv0(c5)
        middle = self.reduce_conv1(self.C3_p4(torch.cat([upsampled(top, c4), c4], 1)))
        p3 = self.C3_p3(torch.cat([upsampled(middle, c3), c3], 1))
        p4 = self.C3_n3(torch.cat([self.bu_conv2(p3), middle], 1))
        p5 = self.C3_n4(torch.cat([self.bu_conv1(p4), top], 1))
        return Pyramid(p3, p4, p5)
