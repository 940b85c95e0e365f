"""Which cells are to find which box: SimOTA (Ge et al. 2021, arXiv:2107.08430, section 2.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

CENTRE_RADIUS = 2.5
"""A cell this many cells from a box's centre, or nearer, may answer for it."""
CANDIDATES = 10
IOU_WEIGHT = 3.0
FAR = 1e5
"""What a cell pays that is in the box or near the centre, but not both."""


class Match(NamedTuple):
    """Name the cells that answer, (P,), the box of each, (P,), and how well it fits by now, (P,)."""

    cells: Tensor
    boxes: Tensor
    iou: Tensor


def pairwise_iou(a_N4: Tensor, b_M4: Tensor) -> Tensor:
    """Return the overlap (N, M) of boxes given as centre x, y, w, h."""
    a, b = corners(a_N4)[:, None], corners(b_M4)[None]
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    both = inner.prod(-1)
    return both / (a_N4[:, 2:].prod(-1)[:, None] + b_M4[:, 2:].prod(-1)[None] - both + 1e-9)


def corners(cxcywh_N4: Tensor) -> Tensor:
    """Return left, top, right, bottom."""
    half = cxcywh_N4[..., 2:] / 2
    return torch.cat([cxcywh_N4[..., :2] - half, cxcywh_N4[..., :2] + half], -1)


@torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
def matched(
    boxes_A4: Tensor,
    logits_AK: Tensor,
    objectness_A1: Tensor,
    cells_A2: Tensor,
    strides_A: Tensor,
    wanted_G4: Tensor,
    kinds_G: Tensor,
) -> Match:
    """Return which cells answer for the wanted boxes (centre x, y, w, h in px).

    A box takes as many cells as its ten best overlaps sum to, the cheapest ones; a cell that two boxes want
    goes to the cheaper. Without wanted boxes nothing is matched.
    """
    none = torch.zeros(0, dtype=torch.long, device=boxes_A4.device)
    if not len(wanted_G4):
        return Match(none, none, none.float())
    centres_A2 = (cells_A2 + 0.5) * strides_A[:, None]
    edges = corners(wanted_G4)
    inside = ((centres_A2[None] > edges[:, None, :2]) & (centres_A2[None] < edges[:, None, 2:])).all(-1)
    reach = (CENTRE_RADIUS * strides_A)[None, :, None]
    near = ((centres_A2[None] - wanted_G4[:, None, :2]).abs() < reach).all(-1)
    candidate = (inside | near).any(0).nonzero()[:, 0]
    if not len(candidate):
        return Match(none, none, none.float())
    iou = pairwise_iou(wanted_G4, boxes_A4[candidate])
    score = (logits_AK[candidate].sigmoid() * objectness_A1[candidate].sigmoid()).sqrt().clamp(1e-7, 1 - 1e-7)
    truth = functional.one_hot(kinds_G, logits_AK.shape[1]).to(score)
    wrong = -(truth @ score.log().T + (1 - truth) @ (1 - score).log().T)
    cost = wrong - IOU_WEIGHT * (iou + 1e-8).log() + FAR * ~(inside & near)[:, candidate]
    counts = iou.topk(min(CANDIDATES, iou.shape[1]), 1).values.sum(1).int().clamp(min=1)
    takes = torch.zeros_like(cost, dtype=torch.bool)
    for k, count in enumerate(counts.tolist()):
        takes[k, cost[k].topk(min(count, cost.shape[1]), largest=False).indices] = True
    rivals = takes.sum(0) > 1
    if rivals.any():
        winner = cost[:, rivals].argmin(0)
        takes[:, rivals] = False
        takes[winner, rivals.nonzero()[:, 0]] = True
    chosen = takes.any(0).nonzero()[:, 0]
    box = takes[:, chosen].int().argmax(0)
    return Match(candidate[chosen], box, iou[box, chosen])
