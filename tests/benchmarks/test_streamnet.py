"""What the embedded streaming detector claims: caching saves, and foreseeing beats holding."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks._streamnet import LEAST_GAIN, cached_gain, detector, films, sap
from training.streamnet.evaluate import horizons


@pytest.mark.nightly
def test_caching_saves_two_thirds_of_the_work() -> None:
    gains = cached_gain()
    assert min(gains.values()) >= LEAST_GAIN, gains


@pytest.fixture(scope="module")
def streams() -> Any:
    return films(3, 40)


@pytest.mark.nightly
def test_foreseeing_beats_holding_at_every_horizon(streams: Any) -> None:
    found = horizons(streams, detector())
    for step in "1234":
        assert found[step]["forecast"] > found[step]["hold"], (step, found)


@pytest.mark.nightly
@pytest.mark.parametrize("cost", [0.6, 1.5, 2.25, 4.0])
def test_as_a_stream_it_beats_holding_at_every_cost(streams: Any, cost: float) -> None:
    (row,) = sap(streams, [cost], detector()).values()
    assert row["streamnet"] > row["hold"], row
