"""A long, uneven line: packets come late and overtake each other, and pictures still come in order, once."""

from __future__ import annotations

import pytest

from benchmarks._measure import median
from benchmarks._processes import serving, visit
from benchmarks.transport import OURS

pytestmark = pytest.mark.nightly

DELAY_MS, JITTER_MS = 40.0, 20.0


def test_delay_and_reordering_cost_their_own_time_and_no_more() -> None:
    with serving(*OURS) as server:
        clean = visit(server, 4)
        far = visit(server, 6, ("--delay-ms", str(DELAY_MS), "--jitter-ms", str(JITTER_MS)))
    assert far.report["overtaken"] > 20, "nothing was reordered"
    assert far.report["repeated"] == 0
    assert far.fps > 0.8 * clean.fps
    # There and back; with each picture the slowest of its packets counts.
    on_the_way_ms = 2 * (DELAY_MS + JITTER_MS)
    assert 2 * DELAY_MS < median(far.ages_ms) < median(clean.ages_ms) + on_the_way_ms + 60
