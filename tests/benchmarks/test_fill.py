"""The benchmark of pictures between paintings judges as it says, with a painter that only makes a square."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from benchmarks import fill
from pipelines.diffusion.pictures import square
from realtime.core.frame import Frame
from realtime.core.stage import Emitted
from training.flow.scenes import HELD_OUT, scene


class Square:
    """Stand in for the painter."""

    def process(self, frame: Frame) -> list[Emitted]:
        return [Emitted(frame.stamp, Frame(frame.stamp, square(frame.pixels, 128)))]

    def reset(self) -> None: ...


def test_the_ideal_has_no_error_and_moving_is_nearer_to_it_than_holding() -> None:
    options = argparse.Namespace(size=128, frames=9, every=3, late=3)
    painter: Any = Square()
    seed = fill.FIRST_SEED + 1
    clip = fill.clip_of(scene(seed, fill.SIZE_PX, names=HELD_OUT, ranges=fill.RANGES), painter, options)
    shown = fill.ways(clip, options)
    assert [fill.begun(t, options) for t in range(3, 9)] == [0, 0, 0, 3, 3, 3]
    rows = {name: fill.judged(clip, one) for name, one in shown.items()}
    assert rows["all"]["to_all"] == rows["all"]["judder"] == 0
    assert rows["all"]["sharpness"] == pytest.approx(1)
    assert rows["all"]["warping_error"] < 4
    for key in ("warping_error", "to_all", "hidden_to_all", "judder"):
        assert rows["fill"][key] < 0.7 * rows["repeat"][key], key
    assert rows["repeat"]["paint_age_ms"] == pytest.approx(rows["fill"]["paint_age_ms"], abs=1)
    assert rows["fill"]["age_ms"] == 0 < rows["repeat"]["age_ms"]
