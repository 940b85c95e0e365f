"""Lanes: one thread, fair turns, newest config, shared calls, drain ticks, and errors that never end it."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.core.channel import Channel, Drop
from realtime.core.clock import ManualClock
from realtime.core.errors import ChannelFull, ConfigError, SessionError, StageError, VitascopeError
from realtime.core.frame import Frame, Result
from realtime.core.lane import Lane, Lanes
from realtime.core.seat import DRAIN_PATIENCE, ERRORS_TO_SWITCH_OFF, PASSED_THROUGH, Seat
from realtime.core.stage import Emitted, StageSpec
from tests.realtime.core.stages import (
    AFTER_COUNT,
    CALLS,
    COUNTING,
    JOINT,
    SPEC,
    Counting,
    Delay,
    Faulty,
    Gated,
    Settings,
)
from tests.vocabulary import PATIENCE_S, make_frame, make_stamp, running


class Place:
    """A seat with all that surrounds it: an inbox with room, an outlet, and ears for errors."""

    def __init__(
        self,
        stage: Any,
        spec: StageSpec = SPEC,
        *,
        room: int = 1000,
        out: Channel[Result[Any]] | None = None,
        clock: ManualClock | None = None,
    ) -> None:
        self.stage = stage
        self.told: list[VitascopeError] = []
        self.turned = threading.Condition()
        self.inbox: Channel[Any] = Channel("in", room, Drop.WAIT, clock)
        self.out = Channel[Result[Any]]("out", 10_000, Drop.NEVER) if out is None else out
        self.seat = Seat(
            "paint", stage, spec, self.inbox, on_error=self._hear, on_turn=self._on_turn, clock=clock
        )
        self.seat.add_outlet(self.out)

    def _hear(self, node: str, error: VitascopeError) -> None:
        assert node == "paint"
        self.told.append(error)

    def _on_turn(self) -> None:
        with self.turned:
            self.turned.notify_all()

    def feed(self, *seqs: int) -> None:
        for seq in seqs:
            self.inbox.put(make_frame(seq))

    def settle(self, lane: Lane) -> list[Result[Any]]:
        """Wait until all that went in is out, and return what came."""
        self.until(lambda: lane.is_idle(self.seat) and not self.seat.has_config)
        results = []
        while (result := self.out.poll()) is not None:
            results.append(result)
        return results

    def until(self, is_so) -> None:
        with self.turned:
            assert self.turned.wait_for(is_so, PATIENCE_S)


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("paint")
    yield lane
    assert lane.close(PATIENCE_S)


def seqs(results: list[Result[Any]]) -> list[int]:
    return [result.stamp.seq for result in results]


def test_each_sample_is_processed_once_in_order_on_the_lane_s_thread(lane: Lane) -> None:
    place = Place(Delay())
    place.feed(*range(20))
    lane.attach(place.seat)
    results = place.settle(lane)
    assert seqs(results) == list(range(20))
    assert [one for one in place.stage.seen if one is not None] == list(range(20))
    assert place.stage.threads == {"lane-paint"}
    assert all(r.stage == "paint" and r.error is None and r.stamp is r.value.stamp for r in results)


@pytest.mark.parametrize("behind", [0, 1, 3])
def test_what_is_in_flight_comes_out_and_then_the_lane_sleeps(lane: Lane, behind: int) -> None:
    place = Place(Delay(behind))
    place.feed(*range(5))
    lane.attach(place.seat)
    assert seqs(place.settle(lane)) == list(range(5))
    ticks = place.stage.seen.count(None)
    assert behind < ticks <= behind + 1 + DRAIN_PATIENCE
    lane.wake()
    place.feed(5)
    assert seqs(place.settle(lane)) == [5]
    assert place.stage.seen[-1] is None


def test_a_sample_that_waits_goes_before_a_drain_tick(lane: Lane) -> None:
    place = Place(Delay(2))
    place.feed(*range(6))
    lane.attach(place.seat)
    place.settle(lane)
    assert place.stage.seen[:6] == list(range(6))


def test_a_stage_that_skips_samples_does_not_keep_the_lane_awake(lane: Lane) -> None:
    class Skipping(Delay):
        def step(self, item: Frame | None) -> list[Emitted]:
            return super().step(item) if item is not None and item.stamp.seq % 2 else []

    place = Place(Skipping())
    lane.attach(place.seat)
    place.feed(0, 1, 2, 3, 4)
    assert seqs(place.settle(lane)) == [1, 3]
    assert place.stage.seen.count(None) <= 5 * DRAIN_PATIENCE


def test_only_the_newest_picture_of_a_live_inbox_is_taken(lane: Lane) -> None:
    stage = Gated()
    place = Place(stage)
    place.inbox = Channel("live")
    place.seat = Seat("paint", stage, SPEC, place.inbox, on_turn=place._on_turn)
    place.seat.add_outlet(place.out)
    lane.attach(place.seat)
    place.feed(0)
    stage.entered()
    place.feed(1, 2, 3)
    for _ in range(2):
        stage.go.release()
    assert seqs(place.settle(lane)) == [0, 3]
    assert place.seat.snapshot().dropped == 2


def test_turns_go_round(lane: Lane) -> None:
    order: list[str] = []

    class Noting(Gated):
        def step(self, item: Frame | None) -> list[Emitted]:
            if item is not None:
                order.append(self.name)
            return super().step(item)

    places = [Place(Noting()) for _ in range(3)]
    for place, name in zip(places, "abc", strict=True):
        place.stage.name = name
        for _ in range(10):
            place.stage.go.release()
    places[0].feed(*range(10))
    places[1].feed(*range(10))
    places[2].feed(*range(4))
    lane.attach(*(place.seat for place in places))
    for place in places:
        place.settle(lane)
    assert order == [*"abc" * 4, *"ab" * 6]


def test_of_many_configs_the_newest_is_applied_between_two_samples(lane: Lane) -> None:
    class Configured(Gated):
        def configure(self, config: Settings) -> None:
            super().configure(config)
            self.life.append(f"shift {config.shift}")

    place = Place(Configured())
    place.feed(0, 1)
    lane.attach(place.seat)
    place.stage.entered()
    for shift in range(1, 8):
        place.seat.configure(Settings(shift))
    place.stage.go.release()
    place.stage.go.release()
    first, second = place.settle(lane)
    assert np.array_equal(first.value.pixels, make_frame(0).pixels)
    assert np.array_equal(second.value.pixels, make_frame(1).pixels + 7)
    assert place.stage.life == ["shift 7"]
    assert place.stage.threads == {"lane-paint"}


def test_a_config_is_applied_while_no_sample_comes(lane: Lane) -> None:
    place = Place(Delay())
    lane.attach(place.seat)
    place.seat.configure(Settings(3))
    place.settle(lane)
    assert place.stage.settings == Settings(3)
    assert place.stage.seen == []


def test_a_refused_config_is_told_and_the_old_one_stays(lane: Lane) -> None:
    place = Place(Delay())
    lane.attach(place.seat)
    place.seat.configure(Settings(5))
    place.settle(lane)
    place.seat.configure(Settings(-1))
    place.feed(0)
    (result,) = place.settle(lane)
    assert np.array_equal(result.value.pixels, make_frame(0).pixels + 5)
    assert [type(error) for error in place.told] == [ConfigError]
    assert place.seat.snapshot().state == "ok"


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


def test_several_results_for_one_sample_all_come_out(lane: Lane) -> None:
    class Words(Delay):
        left = 0

        def process(self, item: Frame | None) -> list[Emitted]:
            if item is not None:
                self.item, self.left = item, 4
            self.left -= 1
            return [Emitted(self.item.stamp, self.item)] if self.left >= 0 else []

    place = Place(Words())
    place.feed(0)
    lane.attach(place.seat)
    assert seqs(place.settle(lane)) == [0, 0, 0, 0]


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


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 1), max_size=6)), min_size=2, max_size=4)
)
def test_together_gives_what_each_alone_gives(sessions: list[tuple[int, list[int]]]) -> None:
    """Sessions of different depth and length, two groups: the same results as one by one."""
    given_alone, given_joint = [], []
    for spec, given_all in [(SPEC, given_alone), (JOINT, given_joint)]:
        lane = Lane("paint")
        places = []
        for number, (behind, samples) in enumerate(sessions):
            place = Place(Delay(behind), spec)
            place.stage.group = number % 2
            place.feed(*range(len(samples)))
            places.append(place)
        lane.attach(*(place.seat for place in places))
        given_all += [[(r.stamp, r.value.pixels.tobytes()) for r in place.settle(lane)] for place in places]
        assert lane.close(PATIENCE_S)
    assert given_joint == given_alone
    assert [len(one) for one in given_joint] == [len(samples) for _, samples in sessions]


def test_only_one_group_shares_a_call_and_none_means_alone(lane: Lane) -> None:
    CALLS.clear()
    groups = {"a": 1, "b": 1, "c": 2, "d": None, "e": None}
    places = []
    for name, group in groups.items():
        place = Place(Delay(name=name), JOINT)
        place.stage.group = group
        place.feed(0, 1)
        places.append(place)
    lane.attach(*(place.seat for place in places))
    assert all(seqs(place.settle(lane)) == [0, 1] for place in places)
    assert CALLS
    assert {name for call in CALLS for name, _ in call} == {"a", "b"}
    assert CALLS[0] == [("a", 0), ("b", 0)]


def test_a_group_does_not_take_the_turns_of_others(lane: Lane) -> None:
    order: list[str] = []

    class Noting(Delay):
        def step(self, item: Frame | None) -> list[Emitted]:
            if item is not None:
                order.append(self.name)
            return super().step(item)

    places = [Place(Noting(name=name), JOINT if name != "x" else SPEC) for name in "abx"]
    for place in places:
        place.stage.group = 1
        place.feed(*range(4))
    lane.attach(*(place.seat for place in places))
    for place in places:
        place.settle(lane)
    assert order == [*"abx" * 4]


def test_in_a_shared_call_a_fault_stays_with_the_session_that_has_it(lane: Lane) -> None:
    bad, good = Place(Faulty("all"), JOINT), Place(Delay(), JOINT)
    for place in (bad, good):
        place.stage.group = 1
        place.feed(*range(ERRORS_TO_SWITCH_OFF + 10))
    lane.attach(bad.seat, good.seat)
    ill, well = bad.settle(lane), good.settle(lane)
    assert sum(r.error is not None for r in ill) == ERRORS_TO_SWITCH_OFF
    assert sum(r.error is not None for r in well) == 1  # the one call that they shared
    assert len(ill) == len(well) == ERRORS_TO_SWITCH_OFF + 10
    assert len(bad.told) == 1
    assert good.told == []


def test_a_full_waiting_reader_holds_up_its_own_seat_only(lane: Lane) -> None:
    slow = Place(Delay(), out=Channel("slow", 1, Drop.WAIT))
    other = Place(Delay())
    slow.feed(*range(6))
    lane.attach(slow.seat, other.seat)
    slow.until(lambda: len(slow.out) == 1 and slow.seat.is_stuck)
    other.feed(*range(30))
    assert seqs(other.settle(lane)) == list(range(30))
    assert len(slow.inbox) == 4  # one is out, one waits for room, the others were not touched
    assert [slow.out.get(PATIENCE_S).stamp.seq for _ in range(6)] == list(range(6))
    slow.settle(lane)


def test_a_full_strict_reader_is_told_once_and_loses_loudly(lane: Lane) -> None:
    place = Place(Delay(), out=Channel("strict", 2, Drop.NEVER))
    place.feed(*range(5))
    lane.attach(place.seat)
    assert seqs(place.settle(lane)) == [0, 1]
    assert place.seat.snapshot().errors == 3
    assert [type(error) for error in place.told] == [ChannelFull]


def test_a_reader_that_has_gone_is_forgotten(lane: Lane) -> None:
    place = Place(Delay())
    gone: Channel[Result[Any]] = Channel("gone", 1, Drop.WAIT)
    place.seat.add_outlet(gone)
    lane.attach(place.seat)
    place.feed(0, 1, 2)
    place.until(lambda: place.seat.is_stuck)
    gone.close()
    assert seqs(place.settle(lane)) == [0, 1, 2]


def test_the_figures_are_milliseconds_of_the_lane_s_clock() -> None:
    clock = ManualClock(1_000_000_000)

    class Working(Delay):
        def process(self, item: Frame | None) -> list[Emitted]:
            if item is None:
                return []
            clock.advance(ms=20)
            return [Emitted(item.stamp, item)]

    lane, place = Lane("paint", clock), Place(Working(), clock=clock)
    place.inbox.put(make_frame(0, captured_ns=clock.now_ns() - 5_000_000))
    clock.advance(ms=7)
    lane.attach(place.seat)
    (result,) = place.settle(lane)
    snapshot = place.seat.snapshot()
    assert (snapshot.wait_ms_p50, snapshot.work_ms_p50, snapshot.age_ms_p95) == (7, 20, 32)
    assert (result.work_ms, snapshot.lane, snapshot.frames) == (20, "paint", 1)
    lane.close()


def test_detach_waits_until_the_stage_is_left(lane: Lane) -> None:
    place = Place(Gated())
    lane.attach(place.seat)
    place.feed(0, 1)
    place.stage.entered()
    assert not lane.detach(place.seat, timeout_s=0)
    left = threading.Event()

    def leave() -> None:
        assert lane.detach(place.seat, PATIENCE_S)
        assert place.stage.seen == [0]
        left.set()

    with running(leave):
        assert not left.is_set()
        place.stage.go.release()
    assert place.inbox.poll().stamp.seq == 1  # nobody took it


def test_a_callback_may_detach_its_own_seat(lane: Lane) -> None:
    place = Place(Delay())
    done = threading.Event()

    def leave(node: str, error: VitascopeError) -> None:
        assert lane.detach(place.seat)
        done.set()

    place.seat.on_error = leave
    lane.attach(place.seat)
    place.seat.configure(Settings(-1))
    assert done.wait(PATIENCE_S)


def test_lanes_are_made_once_and_end_together() -> None:
    lanes = Lanes()
    place = Place(Delay())
    lanes.get("paint").attach(place.seat)
    assert lanes.get("paint") is lanes.get("paint")
    assert lanes.get("see") is not lanes.get("paint")
    place.feed(0)
    assert seqs(place.settle(lanes.get("paint"))) == [0]
    lanes.close()
    lanes.close()
    assert "lane-paint" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(SessionError, match="paint"):
        lanes.get("paint").attach(Place(Delay()).seat)


def test_the_wrong_spec_is_not_mistaken_for_a_group() -> None:
    one, two = Place(Delay(), JOINT), Place(Delay(), AFTER_COUNT)
    one.stage.group = two.stage.group = 1
    one.feed(0)
    assert not one.seat.may_join(two.seat)
    assert one.seat.may_join(one.seat)
