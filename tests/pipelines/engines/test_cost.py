"""The choice between one call and single rows, with made-up times."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engines import cost

times = st.lists(st.floats(0.1, 1000.0), min_size=1, max_size=9)


def test_the_faster_way_is_taken_and_said():
    plan = cost.row_plan(2, batch_ms=[50.0, 52.0, 51.0], rows_ms=[40.0, 41.0, 39.0])
    assert (plan.way, plan.batch_ms, plan.rows_ms) == ("rows", 51.0, 40.0)
    assert plan.says == "2 rows run as single rows on two streams: 40.0 ms split, 51.0 ms together."
    assert cost.row_plan(4, [30.0], [60.0]).says == "4 rows run in one call: 60.0 ms split, 30.0 ms together."


def test_a_near_tie_goes_to_one_call():
    assert cost.row_plan(2, [100.0], [98.0]).way == "batch"
    assert cost.row_plan(2, [100.0], [96.0]).way == "rows"


def test_one_interrupted_call_decides_nothing():
    assert cost.row_plan(2, [50.0, 50.0, 900.0], [40.0, 40.0, 40.0]).way == "rows"
    assert cost.row_plan(2, [50.0, 50.0, 50.0], [60.0, 60.0, 1.0]).way == "batch"


@given(times, times, st.floats(0.01, 100.0))
def test_the_choice_does_not_hang_on_the_unit(batch_ms, rows_ms, scale):
    ratio = cost.row_plan(2, batch_ms, rows_ms)
    assert ratio.rows_ms is not None
    assert ratio.batch_ms is not None
    edge = abs(ratio.rows_ms / ratio.batch_ms - (1.0 - cost.GAIN))
    if edge > 1e-9:  # beside the edge rounding may tip it
        scaled = cost.row_plan(2, [t * scale for t in batch_ms], [t * scale for t in rows_ms])
        assert scaled.way == ratio.way


def test_no_time_is_no_choice():
    with pytest.raises(ValueError):
        cost.row_plan(2, [], [1.0])


@pytest.mark.parametrize(
    ("rows", "threads", "way"), [(1, 8, "batch"), (2, 1, "batch"), (2, 2, "rows"), (5, 4, "rows")]
)
def test_a_size_that_was_not_measured(rows, threads, way):
    plan = cost.unmeasured_plan(rows, threads)
    assert plan.way == way
    assert plan.says.endswith("streams." if way == "rows" else "call.")


def test_ways_take_turns_and_the_first_round_is_not_counted():
    now_ns = 0
    order: list[str] = []

    def spend(name, first_ns, later_ns):
        def way():
            nonlocal now_ns
            now_ns += later_ns if name in order else first_ns
            order.append(name)

        return way

    ways = [spend("a", 90_000_000, 2_000_000), spend("b", 70_000_000, 3_000_000)]
    assert cost.measure(ways, lambda: now_ns, rounds=2) == [[2.0, 2.0], [3.0, 3.0]]
    assert order == ["a", "b"] * 3


def test_threads_stay_within_the_cores_of_this_process():
    assert 1 <= cost.usable_threads() <= min(os.cpu_count() or 1, cost.MOST_THREADS)
