"""Films with exact flow: the second picture taken back along it is the first, but for what is hidden."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.flow.scenes import HELD_OUT, TRAIN, Layer, Path, Ranges, Scene, film, scene

SIZE = (160, 96)


def moved_back(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0 : flow.shape[0], 0 : flow.shape[1]].astype(np.float32)
    back = cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
    return np.asarray(back, np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_the_second_picture_taken_back_is_the_first_where_nothing_is_hidden(seed: int) -> None:
    one = film(seed, SIZE, 2, ranges=Ranges(grain=0.0))
    first, second = one.pixels_THW3.astype(np.float32)
    off = np.abs(moved_back(second, one.flow_THW2[0]) - first).mean(-1)
    still = np.abs(second - first).mean(-1)
    hidden = one.occluded_THW[0]
    assert 0 < hidden.mean() < 0.5
    assert np.median(off[~hidden]) < 2.0
    assert off[~hidden].mean() < 0.5 * still[~hidden].mean()
    assert off[hidden].mean() > 3 * off[~hidden].mean()


def test_the_same_seed_gives_the_same_film_and_another_seed_another() -> None:
    first, again, other = film(5, SIZE, 2), film(5, SIZE, 2), film(6, SIZE, 2)
    assert (first.pixels_THW3 == again.pixels_THW3).all()
    assert (first.flow_THW2 == again.flow_THW2).all()
    assert (first.occluded_THW == again.occluded_THW).all()
    assert (first.pixels_THW3 != other.pixels_THW3).any()


def test_what_a_square_covers_as_it_goes_right_is_hidden_and_no_more() -> None:
    """A square 20 px wide from x = 30, 4 px to the right: columns 50 to 53 beside it are covered."""
    rest = {
        "swing_2": np.zeros(2),
        "pace": 0.1,
        "angle": 0.0,
        "spin": 0.0,
        "scale": 1.0,
        "growth": 0.0,
        "lean": 0.0,
    }
    wall = Layer(np.full((60, 100, 3), 50, np.uint8), None, Path(np.array([49.5, 29.5]), np.zeros(2), **rest))
    cover = np.zeros((24, 24), np.float32)
    cover[2:22, 2:22] = 1.0
    square = Layer(
        np.full((24, 24, 3), 200, np.uint8), cover, Path(np.array([39.5, 29.5]), np.array([4.0, 0.0]), **rest)
    )
    flow, hidden = Scene([wall, square], (100, 60)).truth(0, 1)
    expected = np.zeros((60, 100), bool)
    expected[20:40, 50:54] = True
    assert (hidden == expected).all()
    assert (flow[20:40, 30:50] == (4, 0)).all()
    flow[20:40, 30:50] = 0
    assert (flow == 0).all()


def test_there_and_back_along_the_truth_is_nothing() -> None:
    one = scene(3, SIZE)
    there, hidden = one.truth(0, 2)
    back, _ = one.truth(2, 0)
    home = there + moved_back(back, there)
    rim = cv2.dilate(hidden.astype(np.uint8), np.ones((9, 9))) > 0
    edges = cv2.morphologyEx(one.owners(0).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((7, 7))) > 0
    assert np.quantile(np.abs(home[~rim & ~edges]), 0.99) < 0.05


def test_no_photograph_is_both_trained_on_and_held_out() -> None:
    assert not set(TRAIN) & set(HELD_OUT)
    assert not any("motorcycle" in name for name in TRAIN + HELD_OUT)
