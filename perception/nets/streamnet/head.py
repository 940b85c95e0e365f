"""YOLOX's decoupled head (arXiv:2107.08430): from maps to boxes, one a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import ConvNorm

STRIDES = (8, 16, 32)
PRIOR = 1e-2
"""The share of cells with an object that the biases begin with."""


class Head(nn.Module):
    """Three levels of maps to (B, A, 5 + classes) raw rows: dx, dy, log w, log h, objectness, classes.

    A counts the cells of all levels, stride 8 first, each row by row.
    """

    def __init__(self, classes: int, width: float, channels: Sequence[int]) -> None:
        super().__init__()
        self.classes = classes
        hidden = int(256 * width)

        def towers() -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(ConvNorm(hidden, hidden, 3), ConvNorm(hidden, hidden, 3)) for _ in channels
            )

        def ends(outer: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(hidden, outer, 1) for _ in channels)

        self.stems = nn.ModuleList(ConvNorm(one, hidden, 1) for one in channels)
        self.cls_convs, self.reg_convs = towers(), towers()
        self.cls_preds, self.reg_preds, self.obj_preds = ends(classes), ends(4), ends(1)
        for end in (*self.cls_preds, *self.obj_preds):
            assert isinstance(end, nn.Conv2d)
            assert end.bias is not None
            nn.init.constant_(end.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        rows = []
        for k, one in enumerate(maps):
            x = self.stems[k](one)
            kind, place = self.cls_convs[k](x), self.reg_convs[k](x)
            level = torch.cat(
                [self.reg_preds[k](place), self.obj_preds[k](place), self.cls_preds[k](kind)], 1
            )
            rows.append(level.flatten(2).transpose(1, 2))
        return torch.cat(rows, 1)


def anchors(sizes: Sequence[tuple[int, int]], *, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return the cells (A, 2) as x, y and their strides (A,), for maps of the given (height, width)."""
    cells, strides = [], []
    for (height, width), stride in zip(sizes, STRIDES, strict=True):
        y, x = torch.meshgrid(
            torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
        )
        cells.append(torch.stack([x, y], -1).reshape(-1, 2).float())
        strides.append(torch.full((height * width,), float(stride), device=device))
    return torch.cat(cells), torch.cat(strides)


def decoded(rows_BAN: Tensor, cells_A2: Tensor, strides_A: Tensor) -> Tensor:
    """Return boxes and scores of raw rows: (B, A, 5 + classes) as centre x, y, w, h in px, then sigmoids."""
    centre = (rows_BAN[..., :2] + cells_A2) * strides_A[:, None]
    size = torch.exp(rows_BAN[..., 2:4]) * strides_A[:, None]
    return torch.cat([centre, size, rows_BAN[..., 4:].sigmoid()], -1)
