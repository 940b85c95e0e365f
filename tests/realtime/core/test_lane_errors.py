"""What goes wrong in a stage is counted, logged once, told, and never ends the lane."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError, StageError, VitascopeError
from realtime.core.frame import Frame
from realtime.core.lane import Lane
from realtime.core.seat import ERRORS_TO_SWITCH_OFF, PASSED_THROUGH
from realtime.core.stage import Emitted
from tests.realtime.core.place import Place, seqs
from tests.realtime.core.stages import COUNTING, SPEC, Counting, Delay, Faulty, Settings
from tests.vocabulary import make_frame, make_stamp


def test_any_fault_in_configure_is_told_as_an_error_of_the_tree(lane: Lane) -> None:
    place = Place(Delay())
    lane.attach(place.seat)
    place.seat.configure("not a config")
    place.settle(lane)
    (error,) = place.told
    assert isinstance(error, StageError)
    assert error.permanent
    assert "AttributeError" in error.message


def test_an_error_is_a_result_is_counted_and_the_next_sample_goes_on(lane: Lane) -> None:
    place = Place(Faulty({1, 3}))
    place.feed(*range(5))
    lane.attach(place.seat)
    results = place.settle(lane)
    assert seqs(results) == list(range(5))
    assert [r.stamp.seq for r in results if r.error is not None] == [1, 3]
    error = results[1].error
    assert (error.stage, error.stamp, error.permanent) == ("paint", results[1].stamp, False)
    assert error.message == "paint failed: RuntimeError: no 1"
    assert results[1].value is None
    assert place.told == []
    snapshot = place.seat.snapshot()
    assert (snapshot.frames, snapshot.errors, snapshot.state, snapshot.message) == (3, 2, "ok", "")


def test_the_hint_of_an_error_of_the_tree_is_kept(lane: Lane) -> None:
    class Wrong(Delay):
        def process(self, item: Frame | None) -> list[Emitted]:
            raise ConfigError("It is too small.", hint="Take a larger one.")

    place = Place(Wrong())
    place.feed(0)
    lane.attach(place.seat)
    (result,) = place.settle(lane)
    assert (result.error.message, result.error.hint) == (
        "paint failed: It is too small.",
        "Take a larger one.",
    )
    assert place.seat.snapshot().state == "failing"


def test_thirty_errors_in_a_row_switch_a_stage_off_and_a_new_config_on_again(lane: Lane) -> None:
    place = Place(Faulty("all"))
    place.feed(*range(ERRORS_TO_SWITCH_OFF + 5))
    lane.attach(place.seat)
    results = place.settle(lane)
    failed, passed = results[:ERRORS_TO_SWITCH_OFF], results[ERRORS_TO_SWITCH_OFF:]
    assert seqs(results) == list(range(ERRORS_TO_SWITCH_OFF + 5))
    assert all(r.error is not None for r in failed)
    assert all(r.note == PASSED_THROUGH and r.error is None for r in passed)
    assert all(np.array_equal(r.value.pixels, make_frame(r.stamp.seq).pixels) for r in passed)
    assert len(place.stage.seen) == ERRORS_TO_SWITCH_OFF
    assert place.stage.life == ["reset delay"]
    (banner,) = place.told
    assert isinstance(banner, StageError)
    assert banner.permanent
    assert "failed 30 times in a row and was switched off" in banner.message
    assert "passes through" in banner.message
    assert banner.hint
    assert place.seat.snapshot().state == "passed-through"

    place.stage.bad = set()
    place.seat.configure(Settings(1))
    place.feed(100)
    (result,) = place.settle(lane)
    assert np.array_equal(result.value.pixels, make_frame(100).pixels + 1)
    assert place.seat.snapshot().state == "ok"


def test_a_stage_that_hides_something_lets_nothing_pass_when_it_is_off(lane: Lane) -> None:
    place = Place(Faulty("all"), replace(SPEC, passes_when_off=False))
    place.feed(*range(ERRORS_TO_SWITCH_OFF + 5))
    lane.attach(place.seat)
    results = place.settle(lane)
    assert seqs(results) == list(range(ERRORS_TO_SWITCH_OFF))
    assert all(r.error is not None for r in results)
    (banner,) = place.told
    assert "it gives nothing now" in banner.message


def test_twenty_nine_errors_and_a_success_switch_nothing_off(lane: Lane) -> None:
    bad = set(range(ERRORS_TO_SWITCH_OFF * 2)) - {ERRORS_TO_SWITCH_OFF - 1}
    place = Place(Faulty(bad))
    place.feed(*range(ERRORS_TO_SWITCH_OFF * 2 - 1))
    lane.attach(place.seat)
    results = place.settle(lane)
    assert [r.stamp.seq for r in results if r.error is None] == [ERRORS_TO_SWITCH_OFF - 1]
    assert place.told == []
    assert place.seat.snapshot().state == "failing"


def test_a_stage_that_gives_something_else_gives_nothing_when_off(lane: Lane) -> None:
    class Broken(Counting):
        def process(self, item: Frame | None) -> list[Emitted]:
            raise RuntimeError("no")

    place = Place(Broken(), COUNTING)
    place.feed(*range(ERRORS_TO_SWITCH_OFF + 3))
    lane.attach(place.seat)
    assert len(place.settle(lane)) == ERRORS_TO_SWITCH_OFF
    assert "gives nothing now" in place.told[0].message


@pytest.mark.parametrize("bad", [{4}, {None}])
def test_every_sample_ends_as_a_result_also_when_the_stage_forgot_it(
    lane: Lane, bad: set[int | None]
) -> None:
    class Forgetful(Faulty):
        def process(self, item: Frame | None) -> list[Emitted]:
            try:
                return list(super().process(item))
            except RuntimeError:
                self.bad = set()
                self.reset()
                raise

    place = Place(Forgetful(bad, behind=3))
    place.feed(*range(5))
    lane.attach(place.seat)
    results = place.settle(lane)
    assert sorted(seqs(results)) == list(range(5))
    assert {r.stamp.seq for r in results if r.error is not None} == (
        {1, 2, 3, 4} if bad == {4} else {2, 3, 4}
    )


def test_a_result_for_a_sample_that_never_came_is_an_error_and_the_others_count(lane: Lane) -> None:
    class Inventive(Delay):
        def step(self, item: Frame | None) -> list[Emitted]:
            given = super().step(item)
            return [*given, Emitted(make_stamp(99), make_frame(99))] if given else given

    place = Place(Inventive())
    place.feed(0)
    lane.attach(place.seat)
    good, stranger = place.settle(lane)
    assert good.stamp.seq == 0
    assert good.error is None
    assert stranger.value is None
    assert stranger.error.message == "paint gave a result for test 99, which it never received."
    assert place.seat.snapshot().errors == 1


@pytest.mark.parametrize("answer", [None, [make_frame()], 7])
def test_what_is_no_list_of_emitted_is_an_error(lane: Lane, answer: Any) -> None:
    class Odd(Delay):
        def process(self, item: Frame | None) -> Any:
            return answer

    place = Place(Odd())
    place.feed(0)
    lane.attach(place.seat)
    (result,) = place.settle(lane)
    assert isinstance(result.error, StageError)


def test_one_kind_of_error_is_logged_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    lane, place = Lane("paint", clock), Place(Faulty("all"), clock=clock)
    lane.attach(place.seat)
    with caplog.at_level(logging.ERROR):
        for step_ms, lines in [(0, 1), (9_000, 1), (1_500, 2)]:
            clock.advance(ms=step_ms)
            place.feed(0, 1)
            place.settle(lane)
            assert len(caplog.records) == lines
        place.stage.fault = KeyError
        place.feed(2)
        place.settle(lane)
    assert len(caplog.records) == 3
    assert "paint failed: RuntimeError: no 0" in caplog.records[0].getMessage()
    assert caplog.records[0].exc_info is not None
    lane.close()


def test_a_faulty_listener_does_not_end_the_lane(lane: Lane, caplog: pytest.LogCaptureFixture) -> None:
    place = Place(Delay())

    def deaf(node: str, error: VitascopeError) -> None:
        raise KeyError("a fault of the listener")

    place.seat.on_error = deaf
    lane.attach(place.seat)
    place.seat.configure(Settings(-1))
    place.feed(0)
    assert seqs(place.settle(lane)) == [0]
    assert "telling of an error failed" in caplog.text
