"""Edges are where the picture changes, and the frame goes on with them."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.maps.edges import EdgesConfig, EdgesStage, edges_of, soft_edges_of
from realtime.core.frame import Frame
from tests.vocabulary import make_stamp, run_stage


def step(height: float = 255.0) -> np.ndarray:
    """Return a picture with one edge, between columns 31 and 32."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = int(height)
    return picture


def test_canny_draws_one_thin_line_on_the_edge_and_nothing_else() -> None:
    edges = edges_of(step())
    assert set(np.unique(edges)) == {0, 255}
    assert set(np.flatnonzero(edges.any(0))) <= {31, 32}
    assert edges.any(0).sum() == 1
    assert not edges_of(step(10)).any()  # too weak
    assert edges_of(step(10), 5, 10).any()


def test_soft_edges_shade_by_how_steep_the_change_is() -> None:
    strong, weak = soft_edges_of(step()), soft_edges_of(step(60))
    assert strong[24].argmax() in (31, 32)
    assert strong[24, 32] > 200
    assert 0.15 < weak[24, 32] / strong[24, 32] < 0.35
    assert strong[24, :20].max() == 0
    assert soft_edges_of(step(60), 2.0)[24, 32] == pytest.approx(2 * weak[24, 32], abs=2)


@pytest.mark.parametrize("kind", ["canny", "soft"])
def test_the_frame_goes_on_with_its_map_and_those_it_had(kind: str) -> None:
    frame = Frame(make_stamp(3), step(), {"depth": np.zeros((2, 2), np.float32)})
    (out,) = run_stage(EdgesStage(), [frame], config=EdgesConfig(kind=kind))
    assert out.value.stamp == frame.stamp
    assert out.value.pixels is frame.pixels
    assert set(out.value.maps) == {"depth", "edges"}
    assert out.value.maps["edges"].shape == (48, 64)
