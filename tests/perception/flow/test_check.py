"""There and back along an exact flow: what another thing covers does not come home, all else does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from perception.flow.check import cells, consistent
from training.flow.scenes import Ranges, scene


@pytest.mark.parametrize("seed", range(4))
def test_what_is_covered_is_not_consistent_and_what_is_seen_is(seed: int) -> None:
    one = scene(seed, (240, 160), ranges=Ranges(fastest_px=14.0))
    there, covered = one.truth(0, 1)
    back, _ = one.truth(1, 0)
    sure = consistent(there, back)
    owner = one.owners(0).astype(np.uint8)
    edges = cv2.morphologyEx(owner, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    near = cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert sure[~near & ~edges].mean() > 0.995
    to = there + cells(160, 240)
    inside = ((to >= 0) & (to <= (239, 159))).all(-1)
    # What is covered by something that moves much the same way comes home by chance.
    assert (covered & inside).sum() > 100
    assert (~sure[covered & inside & ~edges]).mean() > 0.8


def test_what_leaves_the_picture_is_not_seen() -> None:
    there = np.zeros((40, 60, 2), np.float32)
    there[..., 0] = 5.0
    sure = consistent(there, -there)
    assert sure[:, :55].all()
    assert not sure[:, 55:].any()


def test_a_small_miss_is_forgiven_and_a_larger_one_where_all_is_fast() -> None:
    still, fast = np.zeros((20, 20, 2), np.float32), np.full((20, 20, 2), 2.0, np.float32)
    assert consistent(still, still + 0.4).all()
    assert not consistent(still, still + 0.6).any()
    assert consistent(fast, -fast + np.float32(0.5))[5:15, 5:15].all()
