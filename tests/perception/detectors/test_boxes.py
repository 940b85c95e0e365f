"""Fitting pictures into squares and back, and keeping the surest of boxes that overlap."""

from __future__ import annotations

import numpy as np
import pytest

from perception.detectors.boxes import detections, letterboxed, overlaps, separate, squeezed


def marked(width: int, height: int, box: tuple[int, int, int, int]) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = (255, 128, 0)
    return pixels


@pytest.mark.parametrize("fit", [letterboxed, squeezed])
@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (416, 416), (100, 75), (97, 1201)])
def test_a_box_in_the_fitted_picture_is_where_it_was(fit, width: int, height: int) -> None:
    box = (width // 4, height // 4, width // 2, height // 2)
    fitted = fit(marked(width, height, box), 416, 416)
    assert fitted.planes_13HW.shape == (1, 3, 416, 416)
    y, x = np.nonzero(fitted.planes_13HW[0, 0] > 0.5)
    found = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], np.float32)
    shares = fitted.shares(found)[0]
    expected = np.array(box) / np.array([width, height, width, height])
    smaller = np.minimum(fitted.scale, 1) * (width, height)  # one pixel of the coarser of the two pictures
    assert (np.abs(shares - expected) <= 1.01 / np.tile(smaller, 2)).all()
    assert fitted.planes_13HW[0, :, y[0], x[0]][2] < 0.1, "red stays first"
    assert fitted.planes_13HW.max() <= 1.0


def test_boxes_beyond_the_picture_are_cut_off() -> None:
    fitted = letterboxed(np.zeros((50, 100, 3), np.uint8), 100, 100)
    shares = fitted.shares(np.array([[-10, 0, 50, 100], [0, 25, 100, 75]], np.float32))
    np.testing.assert_allclose(shares, [[0, 0, 0.5, 1], [0, 0, 1, 1]], atol=1e-6)


def one_by_one(boxes: np.ndarray, scores: np.ndarray, kinds: np.ndarray, least: float) -> list[int]:
    """Keep the surest, throw out what overlaps it, and so on: the definition."""
    left, kept = list(np.argsort(-scores, kind="stable")), []
    while left:
        first, *rest = left
        kept.append(int(first))
        left = [
            k for k in rest if kinds[k] != kinds[first] or overlaps(boxes[[first]], boxes[[k]])[0, 0] < least
        ]
    return kept


@pytest.mark.parametrize("count", [0, 1, 60, 250])
def test_the_surest_of_overlapping_boxes_stays(count: int) -> None:
    random = np.random.default_rng(count)
    corner = random.uniform(0, 80, (count, 2))
    boxes = np.concatenate([corner, corner + random.uniform(5, 40, (count, 2))], 1).astype(np.float32)
    scores, kinds = random.random(count).astype(np.float32), random.integers(0, 3, count)
    kept = separate(boxes, scores, kinds, 0.4)
    assert list(kept) == one_by_one(boxes, scores, kinds, 0.4)
    assert count < 60 or len(kept) < count


def test_overlap_is_shared_by_together() -> None:
    one = np.array([[0, 0, 2, 2]], np.float32)
    others = np.array([[1, 0, 3, 2], [0, 0, 2, 2], [5, 5, 6, 6], [1, 1, 1, 1]], np.float32)
    np.testing.assert_allclose(overlaps(one, others), [[1 / 3, 1, 0, 0]])


def test_the_surest_come_first_and_flat_boxes_not_at_all() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0, 1], [0.2, 0, 1, 1], [0, 0.5, 1, 1]], np.float32)
    scores = np.array([0.3, 0.9, 0.5, 0.4], np.float32)
    found = detections(boxes, scores, np.array([0, 1, 2, 3]), ("a", "b", "c", "d"), 2)
    assert [found.names[k] for k in found.kinds_N] == ["c", "d"]
    np.testing.assert_allclose(found.scores_N, [0.5, 0.4])
    assert found.kinds_N.dtype == np.int64
    assert len(detections(boxes, scores, np.array([0, 1, 2, 3]), ("a", "b", "c", "d"), 0)) == 0
