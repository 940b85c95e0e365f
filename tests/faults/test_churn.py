"""Clients that come and go leave nothing behind: no session, task, thread or socket, and no memory."""

from __future__ import annotations

import pytest

from benchmarks.churn import churn

pytestmark = pytest.mark.slow

CYCLES = 60


async def test_sixty_visits_leave_nothing_behind() -> None:
    figures = await churn(CYCLES)
    assert figures["sessions_left"] == 0
    assert figures["tasks_left"] <= 0
    assert figures["threads_left"] <= 0
    assert figures["sockets_left"] <= 1
    assert figures["memory_growth"] < 0.05
