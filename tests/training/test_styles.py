"""The looks as targets: pure, same size, far from the picture and from each other."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.data import astronaut

from training.painter.styles import MOODS, STYLES, finish, paint

PICTURE = np.ascontiguousarray(astronaut()[:256, 100:356])
LOOKS = [name for name in STYLES if name != "photo"]


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("name", STYLES)
def test_a_look_is_a_pure_function_of_the_picture(name: str) -> None:
    before = PICTURE.copy()
    once, twice = STYLES[name](PICTURE), STYLES[name](PICTURE)
    assert once.shape == PICTURE.shape
    assert once.dtype == np.uint8
    assert np.array_equal(once, twice)
    assert np.array_equal(PICTURE, before)


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_changes_the_picture_clearly(name: str) -> None:
    assert mean_difference(STYLES[name](PICTURE), PICTURE) > 12


def test_no_two_looks_are_alike() -> None:
    painted = {name: STYLES[name](PICTURE) for name in LOOKS}
    close = [(a, b) for a in LOOKS for b in LOOKS if a < b and mean_difference(painted[a], painted[b]) < 8]
    assert close == []


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_follows_odd_sizes(name: str) -> None:
    assert STYLES[name](PICTURE[:101, :77]).shape == (101, 77, 3)


@pytest.mark.parametrize("mood", MOODS)
def test_a_mood_is_seen_on_a_drawing(mood: str) -> None:
    plain = paint(PICTURE, "pencil")
    tinted = paint(PICTURE, "pencil", mood)
    least = 1.0 if mood in ("vivid", "muted") else 5.0  # they act on colour, of which a drawing has little
    assert mean_difference(plain, tinted) > least


def test_half_the_amount_lies_half_way() -> None:
    full = STYLES["thermal"](PICTURE)
    half = finish(PICTURE, full, "", 0.5)
    assert mean_difference(half, (full.astype(int) + PICTURE) // 2) <= 1
