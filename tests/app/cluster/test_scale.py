"""How many workers there should be, over a day that the test makes up."""

from __future__ import annotations

from app.cluster.pool import Load, View
from app.cluster.scale import Bounds, Scaler, Step

BOUNDS = Bounds(least=1, most=3, spare=2, idle_s=60)
ADD, STAY = Step(add=True), Step()


def views(*sessions: int, most: int = 4) -> list[View]:
    return [View(f"w{i}", Load(count, most), count, is_open=True) for i, count in enumerate(sessions)]


def test_one_more_is_started_while_places_are_scarce_and_none_beside_one_that_starts() -> None:
    scaler = Scaler(BOUNDS)
    assert scaler.step(views(2), 0, 0) == STAY  # two places are free: enough
    assert scaler.step(views(3), 0, 1) == ADD
    opening = [*views(3), View("w1", Load(), 0, is_open=False)]
    assert scaler.step(opening, 1, 2) == STAY
    assert scaler.step(views(4, 0), 0, 3) == STAY


def test_never_more_than_most_nor_fewer_than_least() -> None:
    scaler = Scaler(BOUNDS)
    assert scaler.step(views(4, 4, 4), 0, 0) == STAY
    assert scaler.step([], 0, 0) == ADD
    assert scaler.step(views(0), 0, 0) == STAY
    assert scaler.step(views(0), 0, 1000) == STAY


def test_an_idle_worker_goes_after_its_time_and_a_session_in_between_starts_it_anew() -> None:
    scaler = Scaler(BOUNDS)
    assert scaler.step(views(1, 0), 0, 0) == STAY
    assert scaler.step(views(1, 0), 0, 59) == STAY
    assert scaler.step(views(1, 1), 0, 59.5) == STAY
    assert scaler.step(views(1, 0), 0, 61) == STAY
    assert scaler.step(views(1, 0), 0, 120) == STAY
    assert scaler.step(views(1, 0), 0, 121) == Step(remove="w1")


def test_an_idle_worker_stays_while_the_others_would_be_short_of_places() -> None:
    scaler = Scaler(BOUNDS)
    scaler.step(views(3, 0), 0, 0)
    assert scaler.step(views(3, 0), 0, 1000) == STAY
    assert scaler.step(views(2, 0), 0, 1001) == Step(remove="w1")


def test_of_two_idle_ones_the_longer_idle_goes_and_only_one_at_a_time() -> None:
    scaler = Scaler(BOUNDS)
    scaler.step(views(1, 1, 0), 0, 0)
    scaler.step(views(1, 0, 0), 0, 30)
    assert scaler.step(views(1, 0, 0), 0, 200) == Step(remove="w2")
    assert scaler.step(views(1, 0), 0, 201) == Step(remove="w1")


def test_more_than_the_least_number_are_started_at_once_only_up_to_it() -> None:
    scaler = Scaler(Bounds(least=2, most=2, spare=1, idle_s=60))
    starting = [View("w0", Load(), 0, is_open=False)]
    assert scaler.step(starting, 1, 0) == ADD
    assert scaler.step([*starting, View("w1", Load(), 0, is_open=False)], 2, 0) == STAY
