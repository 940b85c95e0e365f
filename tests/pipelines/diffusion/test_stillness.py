"""What is still: the sensor's noise is, a cut, a step of light and a thin edge that moves are not."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.diffusion.stillness import is_cut, stillness, thumbnail
from tests.pipelines.diffusion.vocabulary import picture

SIDE = 24


def still(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    return stillness(thumbnail(now, SIDE), thumbnail(then, SIDE))


def noisy(pixels: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return (pixels + draw.normal(0, sigma, pixels.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.0, 3.0, 5.0])
def test_noise_is_still(sigma: float) -> None:
    scene = picture(1, 192, 192)
    assert still(noisy(scene, sigma, 1), noisy(scene, sigma, 2)).mean() > 0.95


def test_another_picture_is_a_cut_and_so_is_other_light() -> None:
    scene = picture(1, 192, 192)
    assert is_cut(still(picture(2, 192, 192), scene))
    assert not still((scene * 0.8).astype(np.uint8), scene)[scene[::8, ::8].min(axis=2) > 100].any()
    assert not is_cut(still(scene, scene))


def test_a_thin_line_that_moves_is_seen_where_it_is_and_was() -> None:
    one, other = np.full((192, 192, 3), 120, np.uint8), np.full((192, 192, 3), 120, np.uint8)
    one[:, 65:68] = 255
    other[:, 69:72] = 255  # the same cell (64 to 71), and the same mean over it
    map_SS = still(one, other)
    assert not map_SS[:, 8].any()
    assert map_SS[:, :6].all()
    assert map_SS[:, 11:].all()


def test_frames_of_any_size_are_compared() -> None:
    assert thumbnail(picture(1, 300, 500), SIDE).shape == (2 * SIDE, 2 * SIDE, 3)
    assert thumbnail(picture(1, 9, 17), SIDE).shape == (2 * SIDE, 2 * SIDE, 3)
