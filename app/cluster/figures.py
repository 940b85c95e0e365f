"""How the front and its workers are doing, for /healthz and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from app.exposition import PREFIX
from realtime.core.metrics import Sample, prometheus_text

if TYPE_CHECKING:
    from .desk import Desk


def health(desk: Desk) -> dict[str, Any]:
    """Return what /healthz gives: the sums that one process would give, and each worker."""
    views = {one.name: one for one in desk.keeper.views()}
    workers = [
        {
            "name": seat.name,
            "state": "draining" if seat.is_draining else "open" if seat.line else "starting",
            "sessions": views[seat.name].taken,
            "free_sessions": views[seat.name].free,
            "stage_ms_p95": round(seat.load.stage_ms_p95, 2),
            "painter": seat.load.phase,
            "restarts": seat.restarts,
            "trouble": seat.trouble,
        }
        for seat in desk.keeper.seats.values()
    ]
    phases = [seat.load.phase for seat in desk.keeper.seats.values() if seat.line is not None]
    best = next((one for one in ("ready", "warming", "cold", "failed") if one in phases), "cold")
    engine = next((one.load.engine for one in views.values() if one.load.engine), None)
    return {
        "status": "ok",
        "painter": {
            "phase": best,
            "says": "" if phases else "The workers start.",
            "engine": {"name": engine[0], "why": engine[1]} if engine else None,
        },
        "sessions": len(desk.records),
        "max_sessions": sum(one.load.max_sessions for one in views.values()),
        "free_sessions": sum(one.free for one in views.values()),
        "stage_ms_p95": max((one.load.stage_ms_p95 for one in views.values()), default=0.0),
        "workers": workers,
    }


def front_figures(desk: Desk) -> str:
    """Return the front's own figures as Prometheus reads them."""
    return prometheus_text(_samples(desk))


def _samples(desk: Desk) -> Iterator[Sample]:
    for one in desk.keeper.views():
        labels = {"worker": one.name}
        yield Sample(f"{PREFIX}worker_up", float(one.is_open), labels, help="1 while it takes sessions.")
    for one in desk.keeper.views():
        labels = {"worker": one.name}
        yield Sample(f"{PREFIX}worker_free_sessions", float(one.free), labels, help="Places left.")
    lost, moved = float(desk.keeper.lost), float(desk.moved)
    yield Sample(f"{PREFIX}workers_lost_total", lost, {}, kind="counter", help="Workers that died.")
    yield Sample(f"{PREFIX}sessions_moved_total", moved, {}, kind="counter", help="Made again elsewhere.")


def merged(texts: Mapping[str, str]) -> str:
    """Put the texts of several processes together: each line gets a label `worker`, each figure stays whole.

    The text under "" is the front's own and is not labelled.
    """
    heads: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for worker, text in texts.items():
        for line in text.splitlines():
            if line.startswith("# "):
                name = line.split(" ")[2]
                if line not in heads.setdefault(name, []):
                    heads[name].append(line)
            elif line:
                name = line.split("{")[0].split(" ")[0]
                lines.setdefault(name, []).append(_labelled(line, name, worker) if worker else line)
    return "".join("\n".join([*heads.get(name, ()), *of_name]) + "\n" for name, of_name in lines.items())


def _labelled(line: str, name: str, worker: str) -> str:
    rest = line[len(name) :]
    label = f'worker="{worker}"'
    return f"{name}{{{label},{rest[1:]}" if rest.startswith("{") else f"{name}{{{label}}}{rest}"
