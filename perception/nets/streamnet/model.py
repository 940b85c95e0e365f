"""DAMO-StreamNet (He et al. 2023, arXiv:2303.17144) and StreamYOLO (Yang et al. 2022, arXiv:2203.12338).

A frame is encoded once. The prediction joins its maps (the short path) with those of frames before (the long
path) and gives the boxes as they will be one step later. A step is the distance between the frames that are
joined, so frames h apart give boxes h ahead: the horizon follows the measured delay (DaDe, arXiv:2206.06626).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor, nn

from .backbone import GiraffeEncoder, PathEncoder, Pyramid, Widths, widths
from .blocks import ConvNorm, RepConv
from .head import STRIDES, Head, anchors, decoded

LEVELS = ("jian2", "jian1", "jian0")
"""The checkpoints' names of strides 8, 16 and 32."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Say how a DAMO-StreamNet is built."""

    depth: float
    width: float
    ratio: float
    """Hidden channels of a neck block, as a share."""
    short: Widths
    long: tuple[tuple[Widths, int], ...]
    """Channels of a past frame's maps, and for how many frames the same convolutions serve; newest first."""
    fuses: bool = True
    """Whether a last convolution joins the past frames' maps."""
    blocks: int = 3

    @property
    def past(self) -> int:
        """How many frames before it sees."""
        return sum(count for _, count in self.long)


PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        # Ours, and none of the paper's: small enough for a camera's rate on one core (training/streamnet).
        "nano": Plan(0.33, 0.1875, 0.5, (24, 48, 96), (((8, 16, 32), 3),), blocks=1),
        "s": Plan(0.33, 0.5, 0.75, (64, 128, 256), (((21, 42, 85), 3),)),
        "m": Plan(0.67, 0.75, 1.0, (96, 192, 384), (((32, 64, 128), 3),)),
        "l": Plan(1.0, 1.0, 1.0, (128, 256, 512), (((42, 85, 170), 2), ((44, 86, 172), 1))),
        "l1200": Plan(1.0, 1.0, 1.0, (128, 256, 512), (((42, 85, 170), 2), ((44, 86, 172), 1)), fuses=False),
    }
)


class Squeeze(nn.Module):
    """Squeeze the maps of several frames, each group by convolutions of its own, and join them."""

    def __init__(self, channels: Widths, groups: Sequence[tuple[Widths, int]]) -> None:
        super().__init__()
        self._groups = tuple(k for k, (_, count) in enumerate(groups) for _ in range(count))
        for k, (outer, _) in enumerate(groups):
            for name, inner, out in zip(LEVELS, channels, outer, strict=True):
                self.add_module(f"group_{k}_{name}", ConvNorm(inner, out, 1))

    def forward(self, pyramids: Sequence[Pyramid]) -> list[Tensor]:
        return [
            torch.cat(
                [
                    self.get_submodule(f"group_{k}_{name}")(one[level])
                    for k, one in zip(self._groups, pyramids, strict=True)
                ],
                1,
            )
            for level, name in enumerate(LEVELS)
        ]


class StreamDetector(Protocol):
    """What a stream needs of a detector that sees time."""

    past: int

    def encode(self, picture_B3HW: Tensor) -> Pyramid:
        """Return the maps of one frame."""

    def predict(self, now: Pyramid, before: Sequence[Pyramid]) -> Tensor:
        """Return raw rows (B, A, 5 + classes) from the maps of `past` frames before, newest first."""


class DamoStreamNet(nn.Module):
    """Pictures (B, 3, H, W), BGR, 0 to 255, with `past` frames before, to the boxes of the next step."""

    def __init__(self, plan: Plan, classes: int = 8) -> None:
        super().__init__()
        self.plan, self.past, self.classes = plan, plan.past, classes
        channels = widths(plan.width)
        self.backbone = GiraffeEncoder(plan.depth, plan.width, plan.ratio, plan.blocks)
        self.short_backbone = Squeeze(channels, [(plan.short, 1)])
        self.long_backbone = Squeeze(channels, plan.long)
        if plan.fuses:
            for level, name in enumerate(LEVELS):
                inner = sum(outer[level] * count for outer, count in plan.long)
                self.add_module(name, ConvNorm(inner, channels[level] // 2, 1))
        self.head = Head(classes, plan.width, channels)

    def encode(self, picture_B3HW: Tensor) -> Pyramid:
        """Return the maps of one frame."""
        pyramid: Pyramid = self.backbone(picture_B3HW)
        return pyramid

    def joined(self, now: Pyramid, before: Sequence[Pyramid]) -> list[Tensor]:
        """Return the maps that the head reads: short and long path side by side, plus the current maps."""
        short, long = self.short_backbone([now]), self.long_backbone(before)
        if self.plan.fuses:
            long = [self.get_submodule(name)(one) for name, one in zip(LEVELS, long, strict=True)]
        return [torch.cat([s, g], 1) + n for s, g, n in zip(short, long, now, strict=True)]

    def predict(self, now: Pyramid, before: Sequence[Pyramid]) -> Tensor:
        """Return raw rows (B, A, 5 + classes) from the maps of `past` frames before, newest first."""
        rows: Tensor = self.head(self.joined(now, before))
        return rows

    def forward(self, picture_B3HW: Tensor, before_BP3HW: Tensor) -> Tensor:
        """Encode all frames anew and predict: for training and as the reference of the cached way."""
        before = [self.encode(before_BP3HW[:, k]) for k in range(self.past)]
        return self.predict(self.encode(picture_B3HW), before)


class StreamYolo(nn.Module):
    """StreamYOLO: one frame before, the same squeezing convolutions for both."""

    past = 1

    def __init__(self, depth: float, width: float, classes: int = 8) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = PathEncoder(depth, width)
        self.head = Head(classes, width, widths(width))

    def encode(self, picture_B3HW: Tensor) -> Pyramid:
        """Return the maps of one frame."""
        pyramid: Pyramid = self.backbone(picture_B3HW)
        return pyramid

    def joined(self, now: Pyramid, before: Sequence[Pyramid]) -> list[Tensor]:
        """Return the maps that the head reads."""
        squeeze = [self.backbone.get_submodule(name) for name in LEVELS]
        return [
            torch.cat([one(new), one(old)], 1) + new
            for one, new, old in zip(squeeze, now, before[0], strict=True)
        ]

    def predict(self, now: Pyramid, before: Sequence[Pyramid]) -> Tensor:
        """Return raw rows (B, A, 5 + classes)."""
        rows: Tensor = self.head(self.joined(now, before))
        return rows

    def forward(self, picture_B3HW: Tensor, before_BP3HW: Tensor) -> Tensor:
        """Encode both frames anew and predict."""
        return self.predict(self.encode(picture_B3HW), [self.encode(before_BP3HW[:, 0])])


def fold(model: nn.Module) -> None:
    """Fold all convolutions that were trained as branches; for inference and export."""
    for one in model.modules():
        if isinstance(one, RepConv):
            one.fold()


def boxes_of(rows_BAN: Tensor, height_px: int, width_px: int) -> Tensor:
    """Return decoded rows (see `head.decoded`) of pictures with the given sides."""
    sizes = [(-(-height_px // stride), -(-width_px // stride)) for stride in STRIDES]
    cells, strides = anchors(sizes, device=rows_BAN.device)
    return decoded(rows_BAN, cells, strides)
