"""Where the motion of one pair lies at the time of the next: what a new pair begins with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
def carried(flow_B2HW: Tensor) -> Tensor:
    """Move each vector to the cell that it points at, (B, 2, H, W); units are cells.

    Where several arrive they are averaged, where none does the nearest ones fill in, step by step. A map
    whose every vector leaves it gives no motion.
    """
    batch, _, height, width = flow_B2HW.shape
    y = torch.arange(height, device=flow_B2HW.device)[:, None] + flow_B2HW[:, 1]
    x = torch.arange(width, device=flow_B2HW.device) + flow_B2HW[:, 0]
    row, column = y.round(), x.round()
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = torch.where(inside, row * width + column, 0).long().flatten(1)
    with_count = torch.cat((flow_B2HW, torch.ones_like(flow_B2HW[:, :1])), 1) * inside[:, None]
    total = torch.zeros_like(with_count).flatten(2)
    total.scatter_add_(2, place[:, None].expand(-1, 3, -1), with_count.flatten(2))
    total = total.view(batch, 3, height, width)
    known = (total[:, 2:] > 0).to(flow_B2HW)
    return _filled(total[:, :2] / total[:, 2:].clamp(min=1), known)


def _filled(flow_B2HW: Tensor, known_B1HW: Tensor) -> Tensor:
    """Let known cells grow by one around them, as means of those beside, until all is known."""
    for _ in range(max(flow_B2HW.shape[-2:])):
        if bool((known_B1HW > 0).all()):
            break
        share = functional.avg_pool2d(known_B1HW, 3, 1, 1)
        grown = functional.avg_pool2d(flow_B2HW * known_B1HW, 3, 1, 1) / share.clamp(min=1e-6)
        flow_B2HW = torch.where(known_B1HW > 0, flow_B2HW, grown)
        known_B1HW = ((share > 0) | (known_B1HW > 0)).to(flow_B2HW)
    return flow_B2HW


def started(cells_BS2HW: Tensor, passed: int = 1, *, is_back: bool = False) -> Tensor:
    """Return what a window may begin with that lies `passed` frames after one with these flows.

    Pairs that both windows hold begin with what was found; each new pair with the one before it, carried on.
    `is_back`: windows go back in time, so the newest pair comes first, and what is at a cell has come from
    where its vector points.
    """
    flows = list(cells_BS2HW.unbind(1))
    for _ in range(passed):
        flows = [-carried(-flows[0]), *flows[:-1]] if is_back else [*flows[1:], carried(flows[-1])]
    return torch.stack(flows, 1)
