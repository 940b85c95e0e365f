"""Costs: learned from calls, told apart from load, deaf to one slow call; splits chosen by measuring."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.clock import ManualClock
from realtime.core.costs import EXPLORE_EVERY, EXPLORE_TRIES, Costs
from tests.vocabulary import timeless


def line(rows: int) -> float:
    return 10.0 + 5.0 * rows


def learned(
    cost_ms: Callable[[int], float] = line, rows: tuple[int, ...] = (1, 2, 4), calls: int = 5
) -> Costs:
    """Costs that have seen some calls of each of some row counts."""
    costs = Costs(ManualClock())
    for _ in range(calls):
        for count in rows:
            costs.observe("net", count, cost_ms(count))
    return costs


def test_nothing_is_known_before_the_second_call_of_a_size() -> None:
    costs = Costs(ManualClock())
    assert costs.cost_ms("net", 1) is None
    costs.observe("net", 1, 900.0)  # a build
    costs.observe("net", 2, 900.0)
    assert costs.cost_ms("net", 1) is None
    costs.observe("net", 1, 15.0)
    assert costs.cost_ms("net", 1) == 15.0
    assert costs.cost_ms("other", 1) is None


def test_costs_between_and_beyond_what_was_measured_lie_on_the_line() -> None:
    costs = learned()
    for rows in range(1, 13):
        assert costs.cost_ms("net", rows) == pytest.approx(line(rows))


def test_one_measured_size_is_enough_for_a_careful_guess() -> None:
    costs = learned(rows=(4,))
    assert costs.cost_ms("net", 4) == line(4)
    one, eight = costs.cost_ms("net", 1), costs.cost_ms("net", 8)
    assert one is not None
    assert eight is not None
    assert line(4) / 4 < one < line(4) < eight < 2 * line(4)


def test_a_guess_below_the_measured_sizes_stays_above_nothing() -> None:
    costs = learned(lambda rows: {7: 10.0, 8: 60.0}[rows], rows=(7, 8))
    guesses = [costs.cost_ms("net", rows) or 0.0 for rows in range(1, 9)]
    assert guesses[0] >= 10.0 / 7
    assert guesses == sorted(guesses)


def test_one_slow_call_changes_nothing() -> None:
    costs = learned()
    costs.observe("net", 4, 10 * line(4))
    for _ in range(20):
        assert costs.cost_ms("net", 4) == pytest.approx(line(4))
        assert costs.cost_ms("net", 1) == pytest.approx(line(1))
        costs.observe("net", 4, line(4))


def test_the_first_call_of_a_new_size_is_not_believed_when_it_is_slow() -> None:
    costs = learned()
    costs.observe("net", 8, 4000.0)
    assert costs.cost_ms("net", 8) == pytest.approx(line(8))
    costs.observe("net", 8, 31.0)
    assert costs.cost_ms("net", 8) == pytest.approx(31.0)


def test_a_slower_machine_is_known_after_three_calls_and_so_is_its_recovery() -> None:
    costs = learned(calls=10)
    for load in (3.0, 1.0, 0.5, 2.0):
        for _ in range(3):
            costs.observe("net", 1, load * line(1))
        for rows in (1, 2, 4, 8):  # also for sizes that did not run since
            assert costs.cost_ms("net", rows) == pytest.approx(load * line(rows))


def test_load_that_was_is_forgotten_in_seconds() -> None:
    clock = ManualClock()
    costs = Costs(clock)
    for _ in range(10):
        costs.observe("net", 1, 10.0)
    for _ in range(5):
        costs.observe("net", 1, 40.0)
    clock.advance(ms=3500)
    costs.observe("net", 1, 10.0)
    assert costs.cost_ms("net", 1) == pytest.approx(10.0)


def test_load_that_grows_slowly_is_followed() -> None:
    costs, load = learned(calls=25), 1.0
    for _ in range(300):
        load *= 1.005
        costs.observe("net", 2, load * line(2))
    assert costs.cost_ms("net", 2) == pytest.approx(load * line(2), rel=0.03)
    assert costs.cost_ms("net", 4) == pytest.approx(load * line(4), rel=0.25)


@timeless
@given(
    st.lists(st.tuples(st.integers(1, 16), st.floats(0, 1e5)), max_size=60),
    st.lists(st.integers(1, 40), max_size=9),
)
def test_costs_rise_with_rows_and_are_never_below_nothing(
    calls: list[tuple[int, float]], asked: list[int]
) -> None:
    costs = Costs(ManualClock())
    for rows, ms in calls:
        costs.observe("net", rows, ms)
    measured = {rows for rows, _ in calls if sum(one == rows for one, _ in calls) >= 2}
    told = [costs.cost_ms("net", rows) for rows in sorted(asked)]
    if not measured:
        assert told == [None] * len(asked)
        return
    once = {rows for rows, _ in calls} - measured  # one call alone may only lower what its neighbours say
    rising = [one or 0.0 for rows, one in zip(sorted(asked), told, strict=True) if rows not in once]
    assert all(one > 0 for one in rising)
    assert all(b >= a * (1 - 1e-9) for a, b in pairwise(rising))


@pytest.mark.parametrize(("rows", "ms"), [(0, 1.0), (1, -1.0), (1, float("nan")), (1, float("inf"))])
def test_a_call_that_cannot_be_is_refused(rows: int, ms: float) -> None:
    with pytest.raises(ValueError, match="a call has"):
        Costs(ManualClock()).observe("net", rows, ms)
    with pytest.raises(ValueError, match="nothing to split"):
        Costs(ManualClock()).best_rows("net", 0)


def serve(costs: Costs, cost_ms: Callable[[int], float], rows: int, times: int) -> list[tuple[int, ...]]:
    """Ask how to split and do so."""
    answers = []
    for _ in range(times):
        answers.append(costs.best_rows("net", rows))
        for count in answers[-1]:
            costs.observe("net", count, cost_ms(count))
    return answers


@pytest.mark.parametrize(
    ("cost_ms", "rows", "best"),
    [
        (lambda rows: 10 + 1.0 * rows, 4, (4,)),  # a large GPU: further rows are cheap
        (lambda rows: 1 + 10.0 * rows + 3.0 * max(0, rows - 2) ** 2, 4, (2, 2)),
        (lambda rows: 10.0 * rows**1.5, 4, (1, 1, 1, 1)),
        (lambda rows: 2 + 10.0 * max(rows, 2) + 40.0 * (rows > 4), 7, (4, 3)),
    ],
)
def test_the_cheapest_split_is_found_by_measuring(
    cost_ms: Callable[[int], float], rows: int, best: tuple[int, ...]
) -> None:
    costs = Costs(ManualClock())
    answers = serve(costs, cost_ms, rows, 400)
    assert all(sum(answer) == rows for answer in answers)
    assert set(answers[-100:]) == {best}
    told = costs.work_ms("net", rows)
    assert told == pytest.approx(sum(map(cost_ms, best)))


def test_exploring_is_rare_and_comes_to_an_end() -> None:
    costs = Costs(ManualClock())
    answers = serve(costs, lambda rows: 10 + 1.0 * rows, 4, 600)
    tried = [turn for turn, answer in enumerate(answers) if answer != (4,)]
    assert 1 <= len(tried) <= 2 * EXPLORE_TRIES
    assert all(b - a >= EXPLORE_EVERY for a, b in pairwise(tried))
    assert tried[-1] < 600 / 2
    assert serve(Costs(ManualClock()), lambda rows: 10 + 1.0 * rows, 4, 600) == answers


def test_a_split_that_is_never_measured_is_given_up() -> None:
    costs = learned(rows=(4,))
    tried = [answer for answer in (costs.best_rows("net", 4) for _ in range(500)) if answer != (4,)]
    assert sorted(tried) == [(1, 1, 1, 1)] * EXPLORE_TRIES + [(2, 2)] * EXPLORE_TRIES


def test_nothing_is_tried_where_that_is_not_allowed_nor_chosen_by_belief() -> None:
    costs = learned(rows=(4,))
    assert {costs.best_rows("net", 4, explore=False) for _ in range(200)} == {(4,)}
    assert costs.best_rows("net", 5) == (5,)
    assert costs.best_rows("other", 4) == (4,)
    assert costs.best_rows("net", 1) == (1,)


def test_a_split_that_saves_next_to_nothing_is_not_worth_it() -> None:
    costs = learned(lambda rows: {2: 9.7, 4: 20.0}[rows], rows=(2, 4))
    assert costs.best_rows("net", 4) == (4,)
    costs = learned(lambda rows: {2: 9.0, 4: 20.0}[rows], rows=(2, 4))
    assert costs.best_rows("net", 4) == (2, 2)


def test_a_split_that_takes_more_than_its_calls_do_elsewhere_is_left_again() -> None:
    costs = learned(lambda rows: {2: 9.0, 4: 20.0}[rows], rows=(2, 4))
    assert costs.best_rows("net", 4) == (2, 2)
    for _ in range(3):  # copies between the calls, and caches that each finds cold
        costs.observe_split("net", (2, 2), 23.0)
    assert costs.best_rows("net", 4) == (4,)
    costs.observe_split("other", (2, 2), 23.0)  # nothing is known of its calls: nothing is learned
    assert costs.best_rows("other", 4) == (4,)


def test_one_slow_split_is_no_reason_to_leave_it() -> None:
    costs = learned(lambda rows: {2: 9.0, 4: 20.0}[rows], rows=(2, 4))
    for ms in (18.0, 90.0, 18.1):
        costs.observe_split("net", (2, 2), ms)
    assert costs.best_rows("net", 4) == (2, 2)
