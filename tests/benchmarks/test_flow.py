"""The flow benchmark: its truth is right, it judges as it says, and the default keeps its promises."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import _flow_films as films
from benchmarks.flow import DEFAULT, PARTS, judged, methods


@pytest.fixture(autouse=True)
def without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it out: preparing it takes seconds, and no test here asks for it."""
    monkeypatch.setattr("benchmarks.flow._network", lambda: None)


def test_no_flow_at_all_errs_by_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    (pair,) = films.made(1, 2, things=True)
    only = {
        "zero": methods()["zero"],
        "truth": (lambda picture: picture, lambda first, second: pair.flow_HW2),
    }
    monkeypatch.setattr("benchmarks.flow.methods", lambda: only)
    table = judged("one pair", [pair])
    lengths, hidden = np.linalg.norm(pair.flow_HW2, axis=-1), pair.occluded_HW
    assert table["zero"]["visible"] == pytest.approx(lengths[~hidden].mean(), abs=1e-3)
    assert table["zero"]["occluded"] == pytest.approx(lengths[hidden].mean(), abs=1e-3)
    assert table["zero"]["far_share"] == pytest.approx((lengths[~hidden] > 3).mean(), abs=1e-3)
    assert table["truth"]["visible"] == table["truth"]["occluded"] == 0


def test_the_stereo_pair_agrees_with_its_own_truth() -> None:
    """The second picture taken back along the disparity is the first, where that is known."""
    import cv2

    pair = films.stereo()
    y, x = np.mgrid[0 : pair.flow_HW2.shape[0], 0 : pair.flow_HW2.shape[1]].astype(np.float32)
    back = cv2.remap(pair.second_HW3, x + pair.flow_HW2[..., 0], y, cv2.INTER_LINEAR)
    first = pair.first_HW3.astype(np.float32)
    off, still = (np.abs(one.astype(np.float32) - first).mean(-1) for one in (back, pair.second_HW3))
    assert np.median(off[pair.known_HW]) < 0.4 * np.median(still[pair.known_HW])
    assert 30 < -pair.flow_HW2[..., 0].min() < 70


def test_the_default_keeps_its_promised_errors() -> None:
    (seen, flow), pair = methods()[DEFAULT], films.stereo()
    found = flow(seen(pair.first_HW3), seen(pair.second_HW3))
    assert np.linalg.norm(found - pair.flow_HW2, axis=-1)[pair.known_HW].mean() <= 3.5
    errors = [
        np.linalg.norm(flow(seen(one.first_HW3), seen(one.second_HW3)) - one.flow_HW2, axis=-1)
        for one in films.made(4, 2, things=False)
    ]
    assert np.mean(errors) <= 0.25


def test_the_parts_are_named() -> None:
    assert {"camera", "layers", "stereo", "windows"} <= set(PARTS)
