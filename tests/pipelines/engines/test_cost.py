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
    assert cost.row_plan(2, [100.0], [90.0], gain=cost.APART_GAIN).way == "batch"
    assert cost.row_plan(2, [100.0], [84.0], gain=cost.APART_GAIN).way == "rows"


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


class Machine:
    """Run a watched plan with made-up times."""

    def __init__(self, way="batch", batch_ms=10.0, rows_ms=12.0, **options) -> None:
        self.ms = {"batch": batch_ms, "rows": rows_ms}
        self.watch = cost.RowWatch(cost.RowPlan(way, 2, batch_ms, rows_ms), **options)

    def run(self, times: int) -> list[str]:
        """Return the ways taken."""
        ways = []
        for _ in range(times):
            ways.append(self.watch.next_way())
            self.watch.took(ways[-1], self.ms[ways[-1]])
        return ways


def test_the_other_way_is_tried_now_and_then_and_ever_more_rarely():
    first, most = cost.LOOK_AGAIN
    machine = Machine()
    ways = machine.run((first + 1) * cost.TRIES)
    assert [i for i, way in enumerate(ways) if way == "rows"] == [
        first + i * (first + 1) for i in range(cost.TRIES)
    ]
    assert machine.run(2 * first).count("rows") == 0
    machine.run(100 * most)
    late = machine.run(10 * (most + 1))
    assert late.count("rows") == 10
    assert machine.watch.plan.way == "batch"


def test_a_plan_turns_when_the_other_way_has_become_faster():
    machine = Machine()
    machine.ms = {"batch": 30.0, "rows": 20.0}
    machine.run((cost.LOOK_AGAIN[0] + 1) * cost.TRIES)
    plan = machine.watch.plan
    assert (plan.way, plan.batch_ms, plan.rows_ms) == ("rows", 30.0, 20.0)
    machine.ms = {"batch": 15.0, "rows": 20.0}
    machine.run((cost.LOOK_AGAIN[0] + 1) * cost.TRIES)
    assert machine.watch.plan.way == "batch"


def test_a_little_faster_turns_nothing():
    machine = Machine()
    machine.ms = {"batch": 20.0, "rows": 19.0}
    machine.run(1000)
    assert machine.watch.plan.way == "batch"


def test_one_quick_try_turns_nothing():
    machine = Machine()
    for _ in range((cost.LOOK_AGAIN[0] + 1) * cost.TRIES):
        way = machine.watch.next_way()
        machine.watch.took(way, 1.0 if way == "rows" and machine.watch._runs % 2 else machine.ms[way])
    assert machine.watch.plan.way == "batch"


def test_where_the_other_way_is_not_built_it_is_not_tried():
    assert set(Machine(may_turn=False).run(1000)) == {"batch"}


def test_each_measured_call_takes_its_turn():
    held: list[str] = []

    class Turn:
        def __enter__(self) -> None:
            held.append("in")

        def __exit__(self, *args: object) -> None:
            held.append("out")

    cost.measure([lambda: held.append("run")], lambda: 0, rounds=1, alone=Turn())
    assert held == ["in", "run", "out"] * 2
