"""The figures of all sessions for Prometheus. A session's id is a secret, so labels carry its start only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from realtime.core.metrics import Sample, prometheus_text

from .states import State

if TYPE_CHECKING:
    from .loop import MediaLoop
    from .manager import SessionManager
    from .session import Session

PREFIX = "vitascope_"


def prometheus(manager: SessionManager, loop: MediaLoop) -> str:
    """Return what /metrics gives."""
    return prometheus_text(_samples(manager, loop))


def _samples(manager: SessionManager, loop: MediaLoop) -> Iterator[Sample]:
    sessions = manager.sessions
    states = Counter(session.state for session in sessions)
    for state in State:
        if state is not State.CLOSED:
            labels = {"state": state.value}
            yield Sample(f"{PREFIX}sessions", float(states[state]), labels, help="Sessions by state.")
    yield Sample(
        f"{PREFIX}sessions_created_total",
        float(manager.created),
        {},
        kind="counter",
        help="Sessions made since the start.",
    )
    limit = float(manager.settings.server.max_sessions)
    yield Sample(f"{PREFIX}sessions_max", limit, {}, help="Sessions at once.")
    warm = float(manager.warmth.phase == "ready")
    yield Sample(f"{PREFIX}painter_warm", warm, {}, help="1 once the painter is loaded.")
    for share in (0.5, 0.95):
        lag = loop.lag_ms.quantile(share)
        yield Sample(
            f"{PREFIX}loop_lag_ms", lag, {"quantile": f"{share:g}"}, help="Lateness of the media loop."
        )
    live = [session for session in sessions if session.state is State.LIVE]
    yield from _of_sessions(live)
    yield from _of_stages(live)


GAUGES = {
    "age_p50_ms": "Median age of a picture when it leaves, door to door.",
    "age_p95_ms": "95th percentile of that age.",
    "fps": "Painted pictures a second.",
    "wait_ms": "Median wait for a lane.",
    "work_ms": "Median work on a picture.",
}
SOMETIMES = {
    "painted_fps": "Of the pictures a second, those painted anew.",
    "paint_age_p50_ms": "Median age of the paint in a picture when it leaves.",
    "paint_age_p95_ms": "95th percentile of that age.",
}
"""Figures of graphs that move paintings along."""


def _of_sessions(live: list[Session]) -> Iterator[Sample]:
    figures = {session.id[:6]: session.figures() for session in live}
    for key, says in {**GAUGES, **SOMETIMES}.items():
        for name, values in figures.items():
            if key in SOMETIMES and key not in values:
                continue
            yield Sample(f"{PREFIX}session_{key}", float(values[key]), {"session": name}, help=says)
    for name, values in figures.items():
        yield Sample(
            f"{PREFIX}session_dropped_total",
            float(values["dropped"]),
            {"session": name},
            kind="counter",
            help="Pictures forgotten because a newer one came.",
        )


def _of_stages(live: list[Session]) -> Iterator[Sample]:
    nodes = [(session.id[:6], one) for session in live for one in session.wiring.snapshot().values()]
    for key, says in (
        ("frames", "Samples processed."),
        ("noted", "Of these, samples that were repeated or passed through."),
        ("dropped", "Samples forgotten before a stage."),
        ("errors", "Samples on which a stage failed."),
    ):
        for name, one in nodes:
            labels = {"session": name, "stage": one.name, "lane": one.lane}
            yield Sample(
                f"{PREFIX}stage_{key}_total", float(getattr(one, key)), labels, kind="counter", help=says
            )
