"""Motion put end to end: over frames that were lost or left out, and never over a gap."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.diffusion.ways import KEPT, Ways
from realtime.core.frame import Frame
from tests.pipelines.diffusion.vocabulary import stamp

SIDE = 40


def moved(seq: int, before: int | None, dx_px: float, *, hidden: bool = False) -> Frame:
    """Return a frame twice as wide as high whose motion is the same everywhere."""
    plain = Frame(stamp(seq), np.zeros((SIDE, 2 * SIDE, 3), np.uint8))
    flow = np.zeros((SIDE, 2 * SIDE, 2), np.float32)
    flow[..., 0] = dx_px
    if before is None:
        return plain.with_maps(flow=flow)
    occlusion = np.full((SIDE, 2 * SIDE), float(hidden), np.float32)
    return plain.with_motion(stamp(before), flow=flow, occlusion=occlusion)


def seen(*frames: Frame) -> Ways:
    ways = Ways()
    for one in frames:
        ways.see(one)
    return ways


def test_ways_join_by_the_frames_that_they_lead_to() -> None:
    ways = seen(moved(3, 0, 2.0), moved(5, 3, 1.0), moved(9, 5, -0.5))
    way = ways.between(0, 9)
    assert way is not None
    assert (way.then, way.now) == (0, 9)
    assert np.allclose(way.flow_SS2[:, 5:-5], (2.5, 0.0))
    near = ways.between(3, 9)
    assert near is not None
    assert np.allclose(near.flow_SS2[:, 5:-5], (0.5, 0.0))
    assert np.allclose(near.to(10).flow_SS2[:, 2:-2], (0.125, 0.0))


def test_a_gap_is_not_guessed_over() -> None:
    lost = seen(moved(3, 0, 2.0), moved(9, 5, 1.0))  # frame 5, with its way to 3, never came
    assert lost.between(0, 9) is None
    assert lost.between(3, 9) is None
    assert lost.between(5, 9) is not None
    over = seen(moved(3, 0, 2.0), moved(9, 3, 1.0))
    assert over.between(2, 9) is None  # a frame that no way leads to
    assert over.between(9, 9) is None


def test_without_a_name_the_frame_before_is_meant() -> None:
    ways = seen(moved(3, None, 2.0), moved(4, None, 1.0))
    assert ways.between(2, 4) is not None
    assert ways.between(1, 4) is None


def test_what_was_hidden_once_stays_hidden() -> None:
    ways = seen(moved(1, 0, 2.0, hidden=True), moved(2, 1, 2.0))
    whole, last = ways.between(0, 2), ways.between(1, 2)
    assert whole is not None
    assert last is not None
    assert not whole.visible_SS.any()
    assert last.visible_SS[:, 5:-5].all()


@pytest.mark.parametrize(("seq", "source"), [(1, "video"), (8, "file")])
def test_another_stream_begins_anew(seq: int, source: str) -> None:
    ways = seen(moved(7, 6, 1.0), Frame(stamp(seq, source), np.zeros((8, 8, 3), np.uint8)))
    assert not ways.is_told
    assert ways.between(6, 7) is None


def test_memory_is_bounded() -> None:
    ways = seen(*(moved(seq, seq - 1, 0.0) for seq in range(1, 100)))
    assert ways.between(99 - KEPT, 99) is not None
    assert ways.between(98 - KEPT, 99) is None
