"""What a streaming detector is trained on: the boxes of the next step, weighted by trend, and a teacher.

Trend-aware loss: Yang et al. 2022, arXiv:2203.12338, section 3.3. Distillation: He et al. 2023,
arXiv:2303.17144, section 3.3, whose teacher sees the next frame itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .assign import corners, matched, pairwise_iou
from .head import decoded

IOU_GAIN = 5.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What is to be found in one picture."""

    next_G4: Tensor
    """Boxes one step later: centre x, y, w, h in px."""
    kinds_G: Tensor
    now_N4: Tensor
    """Boxes in the picture itself, from which trends are read."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How much more what moves counts."""

    least_iou: float = 0.5
    """Below this overlap with every box of now a box counts as new."""
    new_iou: float = 1.5
    """What a new box's overlap is taken for: it cannot be foreseen, so it weighs less."""


def trend_weights(next_G4: Tensor, now_N4: Tensor, trend: Trend) -> Tensor:
    """Return 1 / IoU of each box with the nearest of now, (G,); the more it moves, the more it weighs."""
    if not len(now_N4) or not len(next_G4):
        return torch.full((len(next_G4),), 1 / trend.new_iou, device=next_G4.device)
    best = pairwise_iou(next_G4, now_N4).max(1).values
    return 1 / torch.where(best < trend.least_iou, torch.full_like(best, trend.new_iou), best)


def reweighted(loss_P: Tensor, weights_P: Tensor) -> Tensor:
    """Weight losses such that their sum stays what it was: only their shares change."""
    weighted = weights_P * loss_P
    return weighted * (loss_P.detach().sum() / weighted.detach().sum().clamp(min=1e-9))


def iou_loss(boxes_P4: Tensor, wanted_P4: Tensor) -> Tensor:
    """Return 1 - IoU^2 of pairs, (P,)."""
    a, b = corners(boxes_P4), corners(wanted_P4)
    inner = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    joint = boxes_P4[:, 2:].prod(-1) + wanted_P4[:, 2:].prod(-1) - inner
    return 1 - (inner / (joint + 1e-9)) ** 2


def detection_loss(
    rows_BAN: Tensor,
    cells_A2: Tensor,
    strides_A: Tensor,
    truths: Sequence[Truth],
    *,
    trend: Trend | None = None,
    with_l1: bool = True,
    teacher_BAN: Tensor | None = None,
    teacher_share: float = 0.0,
) -> dict[str, Tensor]:
    """Return "total" and its parts, each a scalar, per positive cell.

    `rows_BAN` are raw rows of the head. Without a `trend` all boxes count alike. With `teacher_BAN` (raw rows
    of a teacher that saw the next frame) the student also follows its logits everywhere and its boxes at the
    positive cells, with weight `teacher_share`.
    """
    clear = decoded(rows_BAN, cells_A2, strides_A)
    parts = {name: rows_BAN.new_zeros(()) for name in ("iou", "l1", "objectness", "class", "hint")}
    positives = 0
    taught = None if teacher_BAN is None else decoded(teacher_BAN, cells_A2, strides_A)
    for b, truth in enumerate(truths):
        raw, boxes = rows_BAN[b], clear[b, :, :4]
        match = matched(boxes, raw[:, 5:], raw[:, 4:5], cells_A2, strides_A, truth.next_G4, truth.kinds_G)
        count = len(match.cells)
        positives += count
        found = torch.zeros_like(raw[:, 4])
        found[match.cells] = 1.0
        parts["objectness"] = parts["objectness"] + functional.binary_cross_entropy_with_logits(
            raw[:, 4], found, reduction="sum"
        )
        weights = None
        if count:
            wanted = truth.next_G4[match.boxes]
            kinds = functional.one_hot(truth.kinds_G[match.boxes], raw.shape[1] - 5).to(raw)
            parts["class"] = parts["class"] + functional.binary_cross_entropy_with_logits(
                raw[match.cells, 5:], kinds * match.iou[:, None], reduction="sum"
            )
            near = iou_loss(boxes[match.cells], wanted)
            place = (
                raw[match.cells, :4] - encoded(wanted, cells_A2[match.cells], strides_A[match.cells])
            ).abs()
            l1 = place.sum(-1)
            if trend is not None:
                weights = trend_weights(truth.next_G4, truth.now_N4, trend)[match.boxes]
                near, l1 = reweighted(near, weights), reweighted(l1, weights)
            parts["iou"] = parts["iou"] + near.sum()
            parts["l1"] = parts["l1"] + l1.sum()
        if teacher_BAN is not None and taught is not None:
            hint = functional.mse_loss(raw[:, 4:], teacher_BAN[b, :, 4:], reduction="sum")
            if count:
                follow = iou_loss(boxes[match.cells], taught[b, match.cells, :4])
                hint = hint + (follow if weights is None else reweighted(follow, weights)).sum()
            parts["hint"] = parts["hint"] + hint
    parts = {name: value / max(positives, 1) for name, value in parts.items()}
    total = IOU_GAIN * parts["iou"] + parts["objectness"] + parts["class"] + teacher_share * parts["hint"]
    return {"total": total + parts["l1"] if with_l1 else total, **parts}


def encoded(boxes_P4: Tensor, cells_P2: Tensor, strides_P: Tensor) -> Tensor:
    """Return what the head would have to say for boxes at cells: the inverse of `head.decoded`."""
    centre = boxes_P4[:, :2] / strides_P[:, None] - cells_P2
    return torch.cat([centre, (boxes_P4[:, 2:] / strides_P[:, None]).clamp(min=1e-6).log()], -1)
