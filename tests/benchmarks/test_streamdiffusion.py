"""How turns are taken and what follows from their times."""

from __future__ import annotations

import random
from itertools import groupby

import pytest

from benchmarks._measure import Spent
from benchmarks._ours import MODES
from benchmarks.streamdiffusion import STEPS, Name, Turn, compared, ratio, take_turns

KEYS = (
    "vs_reference_n1", "vs_reference_n2", "vs_reference_n4", "vs_reference_torch_n1", "vs_reference_torch_n2",
    "vs_reference_torch_n4", "batch_over_sequential_n4", "reference_batch_over_sequential_n4",
    "full_over_self_n4", "reference_full_over_self_n4",
)  # fmt: skip


def names() -> list[Name]:
    sides = ("reference", "ours", "ours torch")
    plain: list[Name] = [(side, mode, n) for n in STEPS for mode in MODES for side in sides]
    return plain + [(f"{side} sequential", "none", n) for n in STEPS for side in sides]


def test_every_side_gets_as_many_turns_and_compared_sides_stand_together() -> None:
    log: list[tuple[Name, int]] = []

    def turn(name: Name) -> Turn:
        def work(count: int) -> Spent:
            log.append((name, count))
            return Spent(0.1, 0.2)

        return Turn(name, work)

    times = take_turns([turn(name) for name in names()], rounds=3, frames=5, draw=random.Random(1))
    assert set(times) == set(names())
    assert {len(values) for values in times.values()} == {3}
    timed = [name for name, count in log[len(names()) :] if count == 5]
    rounds = [timed[k * len(names()) : (k + 1) * len(names())] for k in range(3)]
    for order in rounds:
        assert sorted(order) == sorted(names())
        assert len([k for k, _ in groupby(order, key=lambda name: (name[1], name[2]))]) == 12
    assert rounds[0] != rounds[1]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    slow, fast = ("reference", "none", 1), ("ours", "none", 1)
    times = {slow: [2.0, 30.0, 3.0], fast: [1.0, 10.0, 0.5]}
    assert ratio(times, slow, fast) == pytest.approx(3.0)  # of 2, 3 and 6; of the medians it would be 3 / 1
    assert ratio(times, slow, ("ours", "full", 1)) is None


def test_the_figures_have_their_names_and_directions() -> None:
    speed = {"reference": 0.4, "ours": 0.1, "ours torch": 0.2}
    times = {
        name: [speed[name[0].removesuffix(" sequential")] * (1.5 if "sequential" in name[0] else 1.0)
               * (1.3 if name[1] == "full" else 1.0)] * 3
        for name in names()
    }  # fmt: skip
    found = compared(times)
    assert set(KEYS) <= set(found)
    assert found["vs_reference_n4"] == pytest.approx(4.0)
    assert found["vs_reference_torch_n4"] == pytest.approx(2.0)
    assert found["batch_over_sequential_n4"] == pytest.approx(1.5)
    assert found["reference_full_over_self_n4"] == pytest.approx(1.3)
    assert found["ours_torch_fps_n1"] == pytest.approx(5.0)
