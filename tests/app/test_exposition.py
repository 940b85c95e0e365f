"""Figures that only some graphs have are exposed where they are, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from app.exposition import GAUGES, _of_sessions
from realtime.core.metrics import prometheus_text


def test_the_age_of_the_paint_is_exposed_for_sessions_that_move_paintings_along() -> None:
    usual = {**dict.fromkeys(GAUGES, 1.0), "dropped": 0}
    moved = {**usual, "paint_age_p50_ms": 133.4, "painted_fps": 9.5}
    live: list[Any] = [
        SimpleNamespace(id="aaaaaa-1", figures=lambda: usual),
        SimpleNamespace(id="bbbbbb-2", figures=lambda: moved),
    ]
    lines = prometheus_text(_of_sessions(live)).splitlines()
    assert [line for line in lines if line.startswith("vitascope_session_paint_age_p50_ms")] == [
        'vitascope_session_paint_age_p50_ms{session="bbbbbb"} 133.4'
    ]
    assert sum(line.startswith("vitascope_session_fps{") for line in lines) == 2
