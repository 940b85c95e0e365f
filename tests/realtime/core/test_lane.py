"""Lanes: one thread, fair turns, newest config, drain ticks, readers that are slow, and figures."""

import os
import sys
import threading
from typing import Any

import numpy as np
import pytest

from realtime.core.channel import Channel, Drop
from realtime.core.clock import ManualClock
from realtime.core.errors import ChannelFull, ConfigError, SessionError, VitascopeError
from realtime.core.frame import Frame, Result
from realtime.core.lane import NICENESS, Lane, Lanes, on_lanes_terms
from realtime.core.seat import DRAIN_PATIENCE, Seat
from realtime.core.stage import Emitted
from tests.realtime.core.place import Place, seqs
from tests.realtime.core.stages import SPEC, Delay, Gated, Settings
from tests.vocabulary import PATIENCE_S, make_frame, running


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


def test_a_stage_s_note_stands_in_the_result(lane: Lane) -> None:
    class Noting(Delay):
        def step(self, item: Frame | None) -> list[Emitted]:
            return [Emitted(item.stamp, item, "as before")] if item is not None else []

    place = Place(Noting())
    place.feed(0)
    lane.attach(place.seat)
    assert [result.note for result in place.settle(lane)] == ["as before"]


def test_a_seat_is_not_idle_while_a_result_is_on_its_way(lane: Lane) -> None:
    for is_off in (False, True):
        place, idle = Place(Delay()), []
        place.seat.is_off = is_off
        place.out.on_ready(lambda place=place, idle=idle: idle.append(lane.is_idle(place.seat)))
        lane.attach(place.seat)
        place.feed(0)
        assert seqs(place.settle(lane)) == [0]
        assert idle == [False]


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


def test_a_full_waiting_reader_holds_up_its_own_seat_only(lane: Lane) -> None:
    slow = Place(Delay(), out=Channel("slow", 1, Drop.WAIT))
    other = Place(Delay())
    slow.feed(*range(6))
    lane.attach(slow.seat, other.seat)
    slow.until(lambda: len(slow.out) == 1 and slow.seat.is_stuck)
    turns: list[int] = []
    slow.seat.on_turn = lambda: turns.append(1)
    other.feed(*range(30))
    assert seqs(other.settle(lane)) == list(range(30))
    assert turns == []  # it sleeps; it does not spin
    slow.seat.on_turn = slow._on_turn
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads a priority of their own")
def test_who_may_be_late_steps_back_for_who_may_not() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    found = {}
    for name in ("see", "paint"):
        lane, place = Lane(name), Place(Delay())
        place.feed(0)
        lane.attach(place.seat)
        place.settle(lane)  # its thread has begun, and says who it is before it works
        thread = next(one for one in threading.enumerate() if one.name == f"lane-{name}")
        assert thread.native_id is not None
        found[name] = os.getpriority(os.PRIO_PROCESS, thread.native_id)
        assert lane.close(PATIENCE_S)
    assert found == {"see": min(own + NICENESS["see"], 19), "paint": own}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads a priority of their own")
def test_threads_that_a_library_makes_for_a_lane_step_back_too() -> None:
    own, found = os.getpriority(os.PRIO_PROCESS, 0), list[int]()

    def look() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def load() -> str:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return "loaded"

    assert on_lanes_terms("hear", load) == "loaded"
    assert found == [min(own + NICENESS["hear"], 19)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
    with pytest.raises(ZeroDivisionError):
        on_lanes_terms("hear", lambda: 1 / 0)
