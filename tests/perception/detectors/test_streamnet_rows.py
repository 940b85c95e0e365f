"""Fitting pictures in and reading boxes out: the same as the network's own decoding, in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perception.detectors.streamnet_rows import boxes_in, cells, fitted, net_size
from perception.nets.streamnet.model import boxes_of


def test_the_longest_side_is_kept_and_the_rest_is_grey() -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[..., 0] = 200  # red
    found = fitted(picture, 256)
    assert found.inner_px == (256, 144)
    assert found.picture_13HW.shape == (1, 3, 160, 256)
    assert (found.picture_13HW[0, 2, :144] == 200).all()  # BGR
    assert (found.picture_13HW[0, 0, :144] == 0).all()
    assert (found.picture_13HW[0, :, 144:] == 114).all()


@pytest.mark.parametrize(
    ("picture", "network"),
    [((1920, 1080), (256, 160)), ((480, 640), (192, 256)), ((64, 64), (256, 256)), ((1, 900), (32, 256))],
)
def test_the_network_s_sides_are_multiples_of_its_largest_stride(
    picture: tuple[int, int], network: tuple[int, int]
) -> None:
    assert net_size(*picture, 256)[1] == network


def test_rows_are_read_as_the_network_means_them() -> None:
    draw = torch.Generator().manual_seed(3)
    count = len(cells(128, 96))
    rows = torch.randn(count, 5 + 3, generator=draw)
    meant = boxes_of(rows[None], 96, 128)[0].numpy()
    score = meant[:, 4] * meant[:, 5:].max(1)
    best = int(score.argmax())
    boxes, scores, kinds = boxes_in(rows.numpy(), (128, 96), (128, 96), 0.01, 5)
    x, y, w, h = meant[best, :4]
    whole = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) / (128, 96, 128, 96)
    assert boxes[0] == pytest.approx(np.clip(whole, 0, 1), abs=1e-5)
    assert scores[0] == pytest.approx(score[best], abs=1e-6)
    assert kinds[0] == meant[best, 5:].argmax()
    assert (np.diff(scores) <= 0).all()
    assert len(boxes) <= 5


def test_nothing_and_far_too_much_are_borne() -> None:
    rows = np.full((len(cells(128, 96)), 8), -50.0, np.float32)
    assert len(boxes_in(rows, (128, 96), (128, 96), 0.1, 100)[0]) == 0
    rows[:] = 500.0
    boxes, scores, _ = boxes_in(rows, (128, 96), (128, 96), 0.1, 100)
    assert np.isfinite(boxes).all()
    assert np.isfinite(scores).all()
