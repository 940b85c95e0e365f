"""How alike every cell of one frame is to every cell of the next, and looking that up around a guess.

RAFT (Teed and Deng 2020, arXiv:2003.12039). Memory grows with the square of the number of cells: see
`memory_bytes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def pyramid(first_BCHW: Tensor, second_BCHW: Tensor, levels: int) -> list[Tensor]:
    """Return the products of all pairs of cells by the root of C, (B * H * W, 1, H, W), and halved copies.

    Cells of the first map are rows, cells of the second lie where they do in its map.
    """
    batch, channels, height, width = first_BCHW.shape
    rows = (first_BCHW / math.sqrt(channels)).flatten(2).transpose(1, 2)  # the small factor: no second volume
    volume = rows @ second_BCHW.flatten(2)
    found = [volume.reshape(batch * height * width, 1, height, width)]
    for _ in range(levels - 1):
        found.append(functional.avg_pool2d(found[-1], 2, 2))
    return found


def looked_up(volumes: Sequence[Tensor], centre_B2HW: Tensor, radius: int) -> Tensor:
    """Return the correlation around `centre_B2HW` (x, y in cells), (B, levels * (2 radius + 1)^2, H, W).

    Within a level the taps are in RAFT's order: the slow index moves x. Between cells values are bilinear,
    outside of the map they are zero.
    """
    batch, _, height, width = centre_B2HW.shape
    side = 2 * radius + 1
    centre = centre_B2HW.permute(0, 2, 3, 1).reshape(batch * height * width, 1, 1, 2)
    reach = torch.arange(-radius, radius + 1, device=centre.device, dtype=centre.dtype)
    taps = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), -1)
    found = []
    for level, volume in enumerate(volumes):
        x, y = (centre / 2**level + taps).unbind(-1)
        grid = torch.stack(((2 * x + 1) / volume.shape[3] - 1, (2 * y + 1) / volume.shape[2] - 1), -1)
        seen = functional.grid_sample(volume, grid, padding_mode="zeros", align_corners=False)
        found.append(seen.view(batch, height, width, side * side))
    return torch.cat(found, -1).permute(0, 3, 1, 2)


def cells(batch: int, height: int, width: int, like: Tensor) -> Tensor:
    """Return the place of each cell, x and y, (B, 2, H, W), float32."""
    y = torch.arange(height, device=like.device, dtype=torch.float32)
    x = torch.arange(width, device=like.device, dtype=torch.float32)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((columns, rows)).expand(batch, 2, height, width)
