"""Ways to work: their ages by hand, their order, and that the present way is held on to."""

from __future__ import annotations

import dataclasses

import pytest

from realtime.core.clock import ManualClock
from realtime.core.costs import Costs
from realtime.core.workload import Choice, Wish, choices, outlook

WISH = Wish("net", None, steps=4, rows_per_step=1, sessions=1, interval_ms=33.0, max_age_ms=250.0)


def costs(fixed_ms: float = 10.0, row_ms: float = 5.0) -> Costs:
    """Costs on a line; encoder and decoder take 4 ms a picture."""
    known = Costs(ManualClock())
    for rows in (1, 2, 16) * 2:
        known.observe("net", rows, fixed_ms + row_ms * rows)
        known.observe("rest", rows, 4.0 * rows)
    return known


def wish(**other: object) -> Wish:
    return dataclasses.replace(WISH, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "choice", "rows", "period_ms", "wait_ms", "work_ms"),
    [
        (wish(interval_ms=5.0), Choice(4), 4, 30, 5, 4 * 30),
        (wish(interval_ms=5.0), Choice(4, way="burst"), 1, 60, 5, 60),
        (wish(interval_ms=5.0, sessions=3), Choice(2), 6, 40, 5, 2 * 40),
        (wish(interval_ms=5.0, rows_per_step=2), Choice(4), 8, 50, 5, 4 * 50),
        (wish(interval_ms=5.0, rest_key="rest"), Choice(4), 4, 34, 5, 4 * 34),
        (wish(interval_ms=5.0, rest_key="rest"), Choice(4, way="burst"), 1, 64, 5, 64),
        (wish(interval_ms=5.0, rest_key="rest", sessions=4), Choice(1, 2), 2, 28, 5, 28),
        (wish(interval_ms=1000.0), Choice(4), 1, 15, 15, 4 * 15),  # ticks go on while no picture comes
        (wish(interval_ms=40.0), Choice(4), 3, 25, 25, 4 * 25),  # 4 * 25 / 40 are in flight at most
        (wish(interval_ms=1000.0), Choice(4, way="burst"), 1, 60, 60, 60),
    ],
)
def test_what_a_choice_leads_to(
    asked: Wish, choice: Choice, rows: int, period_ms: float, wait_ms: float, work_ms: float
) -> None:
    seen = outlook(costs(), asked, choice)
    assert seen.rows == rows
    assert seen.period_ms == pytest.approx(period_ms)
    assert seen.age_ms == pytest.approx(0.95 * wait_ms + work_ms)


def test_what_is_not_known_is_not_predicted() -> None:
    with pytest.raises(ValueError, match="not known"):
        outlook(costs(), wish(key="other"), Choice(1))


def test_choices_go_from_most_work_to_least() -> None:
    slow_camera = choices(costs(), wish(steps=2, sessions=3, interval_ms=500.0), "stream", 0.8)
    assert slow_camera == [Choice(2, way="burst"), Choice(2), Choice(1), Choice(1, 2), Choice(1, 3)]
    fast_camera = choices(costs(), wish(steps=2, interval_ms=5.0), "stream", 0.8)
    assert fast_camera == [Choice(2), Choice(2, way="burst"), Choice(1)]
    flat = choices(costs(row_ms=0.1), wish(steps=3, interval_ms=5.0), "stream", 0.8)
    assert flat == [Choice(3), Choice(2), Choice(1)]


def test_the_present_way_is_held_on_to() -> None:
    """A burst of two steps takes 30 ms: of 33, too much to begin with it, and no reason to end it."""
    asked = wish(steps=2)
    assert choices(costs(), asked, "stream", 0.8)[0].way == "stream"
    assert choices(costs(), asked, "burst", 0.8)[0].way == "burst"
    assert choices(costs(), wish(steps=2, interval_ms=29.0), "burst", 0.8)[0].way == "stream"
    assert choices(costs(), wish(steps=2, interval_ms=40.0), "stream", 0.8)[0].way == "burst"
