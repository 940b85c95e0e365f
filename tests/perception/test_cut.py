"""Cuts are told from motion, flashes and black pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage import data

from perception.cut import CutDetector


@pytest.fixture(scope="module")
def room() -> Any:
    return np.ascontiguousarray(data.astronaut()[:360])


@pytest.fixture(scope="module")
def street() -> Any:
    return np.ascontiguousarray(data.coffee()[:360, :512])


def cuts(*pictures: Any) -> list[int]:
    detector = CutDetector()
    return [k for k, one in enumerate(pictures) if detector.is_cut(np.ascontiguousarray(one))]


def test_another_scene_is_a_cut_once(room: Any, street: Any) -> None:
    assert cuts(room, room, street, street, room) == [2, 4]


def test_motion_is_none(room: Any) -> None:
    pan = [room[:, 12 * k : 12 * k + 400] for k in range(9)]
    passing = []
    for k in range(9):
        one = room.copy()
        one[100:300, 50 * k : 50 * k + 120] = (250, 20, 20)
        passing.append(one)
    assert cuts(*pan) == []
    assert cuts(*passing) == []


def test_a_flash_a_lamp_and_noise_are_none(room: Any) -> None:
    rng = np.random.default_rng(0)
    white, black = np.full_like(room, 255), np.zeros_like(room)
    bright = np.clip(room.astype(int) * 2 + 40, 0, 255).astype(np.uint8)
    noisy = np.clip(room + rng.normal(0, 30, room.shape), 0, 255).astype(np.uint8)
    assert cuts(room, white, room, black, black, room, bright, room // 3, noisy, room) == []


def test_behind_black_pictures_another_scene_is_found(room: Any, street: Any) -> None:
    black = np.zeros_like(room)
    assert cuts(black, black, room, black, street) == [4]


def test_another_shape_is_a_cut_and_another_size_is_none(room: Any) -> None:
    half = np.ascontiguousarray(room[::2, ::2])
    assert cuts(room, half, room) == []
    assert cuts(room, room[:, :360], room[:, :360], room) == [1, 3]


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (2000, 3), (17, 33)])
def test_any_size_will_do(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    assert cuts(picture, picture) == []
