"""What the detectors are trained on: who answers for what, trends, and the teacher."""

from __future__ import annotations

import pytest
import torch

from perception.nets.streamnet.assign import matched, pairwise_iou
from perception.nets.streamnet.head import anchors
from perception.nets.streamnet.loss import (
    Trend,
    Truth,
    detection_loss,
    encoded,
    iou_loss,
    reweighted,
    trend_weights,
)

SIZES = [(8, 8), (4, 4), (2, 2)]
"""Maps of a picture of 64 px."""


def boxes(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(rows).reshape(-1, 4)


def rows_for(truth: torch.Tensor, kinds: torch.Tensor, *, classes: int = 3) -> torch.Tensor:
    """Return raw rows that say at every cell: here is the nearest wanted box, for sure."""
    cells, strides = anchors(SIZES)
    centres = (cells + 0.5) * strides[:, None]
    nearest = (centres[:, None] - truth[None, :, :2]).pow(2).sum(-1).argmin(1)
    rows = torch.full((len(cells), 5 + classes), -6.0)
    rows[:, :4] = encoded(truth[nearest], cells, strides)
    rows[:, 4] = 6.0
    rows[torch.arange(len(cells)), 5 + kinds[nearest]] = 6.0
    return rows[None]


def test_overlaps() -> None:
    a = boxes((10, 10, 10, 10))
    b = boxes((10, 10, 10, 10), (15, 10, 10, 10), (40, 40, 4, 4))
    assert pairwise_iou(a, b)[0].tolist() == pytest.approx([1, 1 / 3, 0], abs=1e-6)
    assert iou_loss(a, a).item() == pytest.approx(0, abs=1e-6)
    assert iou_loss(a, b[1:2]).item() == pytest.approx(1 - 1 / 9, abs=1e-6)


def test_cells_answer_for_the_box_that_they_lie_in_and_none_for_two() -> None:
    cells, strides = anchors(SIZES)
    truth, kinds = boxes((16, 16, 20, 20), (44, 44, 24, 24)), torch.tensor([0, 2])
    rows = rows_for(truth, kinds)[0]
    perfect = torch.cat([(truth[(cells.sum(1) * strides > 60).long()])], 0)
    found = matched(perfect, rows[:, 5:], rows[:, 4:5], cells, strides, truth, kinds)
    centres = ((cells + 0.5) * strides[:, None])[found.cells]
    assert len(found.cells) == len(set(found.cells.tolist())) > 2
    assert ((centres - truth[found.boxes, :2]).abs() < truth[found.boxes, 2:] / 2 + 2.5 * 32).all()
    assert set(found.boxes.tolist()) == {0, 1}
    nothing = matched(perfect, rows[:, 5:], rows[:, 4:5], cells, strides, boxes(), kinds[:0])
    assert len(nothing.cells) == 0


def test_what_moves_weighs_more_and_what_is_new_less() -> None:
    trend = Trend()
    now = boxes((10, 10, 10, 10), (40, 40, 10, 10))
    later = boxes((10, 10, 10, 10), (42, 40, 10, 10), (60, 20, 10, 10))
    still, moving, new = trend_weights(later, now, trend).tolist()
    assert still == pytest.approx(1)
    assert moving == pytest.approx(1.5)  # overlap 2/3
    assert new == pytest.approx(1 / 1.5)
    assert trend_weights(later, boxes(), trend).tolist() == pytest.approx([1 / 1.5] * 3)
    loss = torch.tensor([1.0, 2.0, 3.0])
    shares = reweighted(loss, torch.tensor([2.0, 1.0, 1.0]))
    assert shares.sum().item() == pytest.approx(6)
    assert (shares[0] / shares[1]).item() == pytest.approx(1)  # was 1 / 2


def test_the_right_answer_costs_nearly_nothing_and_a_wrong_one_much() -> None:
    cells, strides = anchors(SIZES)
    truth = Truth(boxes((16, 16, 20, 20), (44, 44, 24, 24)), torch.tensor([0, 2]), boxes((14, 16, 20, 20)))
    right = rows_for(truth.next_G4, truth.kinds_G)
    good = detection_loss(right, cells, strides, [truth], trend=Trend())
    assert good["iou"] < 1e-3
    assert good["l1"] < 1e-3
    assert good["class"] < 0.05
    moved = right.clone()
    moved[..., 0] += 1
    bad = detection_loss(moved, cells, strides, [truth], trend=Trend())
    assert bad["total"] > good["total"] + 1
    nobody = Truth(boxes(), torch.zeros(0, dtype=torch.long), boxes())
    quiet = detection_loss(torch.full((1, len(cells), 8), -9.0), cells, strides, [nobody])
    assert quiet["total"] < 0.1


def test_a_student_follows_its_teacher() -> None:
    cells, strides = anchors(SIZES)
    truth = Truth(boxes((16, 16, 20, 20)), torch.tensor([1]), boxes((16, 16, 20, 20)))
    teacher = rows_for(truth.next_G4, truth.kinds_G)
    torch.manual_seed(3)
    student = (teacher + 0.5 * torch.randn_like(teacher)).requires_grad_()
    same = detection_loss(teacher, cells, strides, [truth], teacher_BAN=teacher, teacher_share=0.2)
    other = detection_loss(student, cells, strides, [truth], teacher_BAN=teacher, teacher_share=0.2)
    assert same["hint"] < 1e-3 < other["hint"]
    alone = detection_loss(student, cells, strides, [truth])
    assert alone["hint"] == 0
    assert other["total"].item() == pytest.approx((alone["total"] + 0.2 * other["hint"]).item(), rel=1e-5)
    other["total"].backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().sum() > 0
