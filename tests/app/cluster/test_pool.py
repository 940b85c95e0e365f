"""Where a session goes, and how long a worker that dies early has to wait."""

from __future__ import annotations

import pytest

from app.cluster.pool import Load, View, choose, pause_s


def view(name: str, sessions: int = 0, most: int = 4, ms: float = 10.0, **more: object) -> View:
    placed = int(str(more.get("placed", 0)))
    return View(name, Load(sessions, most, ms), placed, is_open=bool(more.get("is_open", True)))


def test_the_one_with_most_free_places_is_chosen() -> None:
    assert choose([view("a", 2), view("b", 1), view("c", 3)]) == "b"


def test_what_was_placed_counts_before_the_worker_has_told_of_it() -> None:
    assert choose([view("a", 0, placed=2), view("b", 1)]) == "b"
    assert view("a", 1, placed=3).free == 1


def test_of_equals_the_quicker_one_is_chosen_then_the_first_by_name() -> None:
    assert choose([view("a", ms=30), view("b", ms=20)]) == "b"
    assert choose([view("b"), view("a")]) == "a"


def test_a_slow_worker_is_chosen_only_when_no_other_has_a_place() -> None:
    slow = view("slow", 0, ms=400)
    assert choose([slow, view("busy", 3)]) == "busy"
    assert choose([slow, view("full", 4)]) == "slow"


def test_closed_full_and_excepted_ones_are_not_chosen() -> None:
    assert choose([view("closed", is_open=False), view("full", 4)]) is None
    assert choose([view("a")], but="a") is None
    assert choose([]) is None


@pytest.mark.parametrize(("deaths", "wanted_s"), [(0, 0.5), (1, 0.5), (2, 1), (3, 2), (20, 30), (9999, 30)])
def test_the_pause_before_a_new_start_doubles_up_to_half_a_minute(deaths: int, wanted_s: float) -> None:
    assert pause_s(deaths) == wanted_s
