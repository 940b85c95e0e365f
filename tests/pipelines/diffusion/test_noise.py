"""Noise by seed and between seeds: repeatable, of unit size on the whole way, apart from global state."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.diffusion.noise import Noises, Seeds, slerp
from tests.vocabulary import timeless

SIDE = 16


@pytest.fixture(scope="module")
def noises() -> Noises:
    return Noises(4)


@pytest.mark.parametrize("share", [i / 8 for i in range(9)])
def test_noise_between_two_seeds_has_the_statistics_of_noise(noises: Noises, share: float) -> None:
    between = noises.blended(Seeds(2, 3, share), 4, 64)
    one, other = noises.of_seed(2, 4, 64), noises.of_seed(3, 4, 64)
    assert between.shape == one.shape
    assert abs(float(between.std()) - 1.0) < 0.02
    assert abs(float(between.mean())) < 0.02
    straight = (1 - share) * one + share * other
    if 0.2 < share < 0.8:
        assert float(straight.std()) < 0.85  # what a network takes for a washed-out picture


def test_the_ends_of_a_blend_are_the_seeds_themselves(noises: Noises) -> None:
    assert noises.blended(Seeds(2, 3, 0.0), 2, SIDE) is noises.of_seed(2, 2, SIDE)
    assert noises.blended(Seeds(2, 3, 1.0), 2, SIDE) is noises.of_seed(3, 2, SIDE)
    assert noises.blended(Seeds(2, 2, 0.5), 2, SIDE) is noises.of_seed(2, 2, SIDE)
    nearly = noises.blended(Seeds(2, 3, 1 / 64), 2, SIDE)
    away = float((nearly - noises.of_seed(2, 2, SIDE)).abs().max())
    assert 0 < away < 0.2  # the way begins at the seed, without a jump
    assert noises.blended(Seeds(2, 3, 1 / 64), 2, SIDE) is nearly  # made once


def test_each_step_lies_on_its_own_arc(noises: Noises) -> None:
    whole = noises.blended(Seeds(5, 6, 0.25), 3, SIDE)
    for k in range(3):
        one, other = noises.of_seed(5, 3, SIDE)[k], noises.of_seed(6, 3, SIDE)[k]
        angle = math.acos(float((one / one.norm() * other / other.norm()).sum()))
        right = math.sin(0.75 * angle) * one / one.norm() + math.sin(0.25 * angle) * other / other.norm()
        right *= (0.75 * one.norm() + 0.25 * other.norm()) / math.sin(angle)
        assert float((whole[k] - right).abs().max()) < 1e-5


vectors = st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3).map(torch.tensor)


@timeless
@given(vectors, vectors, st.floats(0, 1))
def test_a_slerp_is_finite_and_as_long_as_its_ends_suggest(
    one: torch.Tensor, other: torch.Tensor, share: float
) -> None:
    made = slerp(one, other, share)
    assert torch.isfinite(made).all()
    longest = max(float(one.norm()), float(other.norm()))
    assert float(made.norm()) <= longest * 1.001 + 1e-6
    assert torch.allclose(slerp(one, other, 0.0), one, atol=2e-3 * max(longest, 1e-3))
    assert torch.allclose(slerp(one, other, 1.0), other, atol=2e-3 * max(longest, 1e-3))


def test_a_slerp_of_unit_vectors_keeps_to_the_circle_at_an_even_pace() -> None:
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    for share in (0.1, 0.5, 0.9):
        made = slerp(east, north, share)
        assert float(made.norm()) == pytest.approx(1.0, abs=1e-6)
        assert math.atan2(float(made[1]), float(made[0])) == pytest.approx(share * math.pi / 2, abs=1e-6)


def test_a_seed_is_repeatable_and_leaves_torchs_own_random_numbers_alone() -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first = Noises(4).blended(Seeds(2, 9, 0.5), 2, SIDE)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(12)
    assert torch.equal(first, Noises(4).blended(Seeds(2, 9, 0.5), 2, SIDE))
    assert not torch.equal(first, Noises(4).blended(Seeds(3, 9, 0.5), 2, SIDE))
