"""The list of faults: each is shown on both sides."""

from __future__ import annotations

import pytest
import torch

from benchmarks import _faults_of_ours as ours
from benchmarks import _reference_faults_worker as theirs
from benchmarks.reference_faults import FAULTS


def test_each_fault_is_shown_on_the_reference_and_tried_on_ours() -> None:
    assert set(FAULTS) == set(theirs.DEMONSTRATIONS) == set(ours.ATTEMPTS)


def test_what_raises_is_quoted_and_what_works_is_not() -> None:
    def broken(x: int) -> None:
        raise ValueError(f"no {x}\nmore")

    assert theirs.raising(broken, 3) == "ValueError: no 3"
    assert theirs.raising(len, "abc") == ""


@pytest.mark.parametrize("lowest", [0, 153])
def test_pictures_are_repeatable_and_cover_their_range(lowest: int) -> None:
    one, other = ours.picture(0, 64, lowest), ours.picture(1, 64, lowest)
    assert one.shape == (64, 64, 3)
    assert lowest <= one.min() < one.max() <= 255
    assert (one == ours.picture(0, 64, lowest)).all()
    assert (one != other).any()


def test_two_outputs_differ_by_their_largest_difference() -> None:
    one = torch.tensor([0.0, 1.0])
    assert theirs.differ(one, one + torch.tensor([0.25, -0.5])) == 0.5
    assert ours.differ(one, one) == 0.0
