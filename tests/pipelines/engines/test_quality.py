"""Decibels against numbers worked out by hand, and which samples judge."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.engines import quality


def test_decibels_by_hand():
    expected = torch.tensor([-1.0, 1.0, 0.0, 0.0])
    assert quality.psnr_db([(expected + 0.02, expected)]) == pytest.approx(40.0, abs=1e-4)
    assert quality.psnr_db([(expected, expected)]) == math.inf
    assert quality.psnr_db([(expected + math.nan, expected)]) == -math.inf
    assert quality.psnr_db([(torch.ones(3), torch.zeros(3))]) == -math.inf, "nothing was expected of it"


def test_the_range_is_that_of_all_samples_together():
    low, high = torch.full((4,), -1.0), torch.full((4,), 1.0)
    assert quality.psnr_db([(low + 0.2, low), (high + 0.2, high)]) == pytest.approx(20.0, abs=1e-4)


@pytest.mark.parametrize(
    ("count", "judges"), [(2, [1]), (3, [2]), (4, [3]), (8, [3, 7]), (16, [3, 7, 11, 15])]
)
def test_no_sample_both_fits_and_judges(count, judges):
    samples = [{"x": torch.tensor(float(i))} for i in range(count)]
    fitting, judging = quality.split(samples)
    assert [int(sample["x"]) for sample in judging] == judges
    assert sorted(int(s["x"]) for s in [*fitting, *judging]) == list(range(count))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples(count):
    with pytest.raises(ValueError, match=f"got {count}"):
        quality.split([{}] * count)
