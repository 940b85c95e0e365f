"""Channels: order kept, never above capacity, put = got + dropped + depth, and closing wakes everyone."""

import asyncio
import threading
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from realtime.core.channel import Channel, Drop
from realtime.core.clock import ManualClock
from realtime.core.errors import ChannelClosed, ChannelFull
from tests.vocabulary import PATIENCE_S, make_frame, running, timeless

drops = st.sampled_from(Drop)


class AgainstAModel(RuleBasedStateMachine):
    """Drive a channel and a plain list with the same steps and compare all that can be seen."""

    @initialize(capacity=st.integers(1, 4), drop=drops)
    def begin(self, capacity: int, drop: Drop) -> None:
        self.clock = ManualClock()
        self.channel: Channel[int] = Channel("c", capacity, drop, self.clock)
        self.model: deque[int] = deque()
        self.put = self.got = self.dropped = self.told_ready = self.told_room = 0
        self.ready = self.room = 0
        self.channel.on_ready(self._on_ready)
        self.channel.on_room(self._on_room)

    def _on_ready(self) -> None:
        self.ready += 1

    def _on_room(self) -> None:
        self.room += 1

    @rule()
    def put_one(self) -> None:
        item = self.put + self.dropped + 1
        full = len(self.model) == self.channel.capacity
        if self.channel.closed:
            with pytest.raises(ChannelClosed):
                self.channel.put(item, timeout_s=0)
        elif full and self.channel.drop is not Drop.OLDEST:
            with pytest.raises(ChannelFull):
                self.channel.put(item, timeout_s=0)
        else:
            forgotten = (self.model.popleft(),) if full else ()
            assert self.channel.put(item, timeout_s=0) == forgotten
            self.model.append(item)
            self.put += 1
            self.dropped += len(forgotten)
            self.told_ready += 1

    @rule(by=st.sampled_from(["get", "poll", "poll_timed"]))
    def take_one(self, by: str) -> None:
        if not self.model:
            if by == "get":
                with pytest.raises(ChannelClosed if self.channel.closed else TimeoutError):
                    self.channel.get(timeout_s=0)
            else:
                assert getattr(self.channel, by)() is None
            return
        taken = self.channel.get(timeout_s=0) if by == "get" else getattr(self.channel, by)()
        assert (taken[0] if by == "poll_timed" else taken) == self.model.popleft()
        self.got += 1
        self.told_room += 1

    @rule()
    def clear(self) -> None:
        assert self.channel.clear() == len(self.model)
        self.dropped += len(self.model)
        self.model.clear()
        self.told_room += 1

    @precondition(lambda self: self.put > 4)
    @rule()
    def close(self) -> None:
        self.told_ready += not self.channel.closed
        self.told_room += not self.channel.closed
        self.channel.close()

    @invariant()
    def the_books_balance(self) -> None:
        stats = self.channel.stats()
        assert (stats.put, stats.got, stats.dropped) == (self.put, self.got, self.dropped)
        assert stats.put == stats.got + stats.dropped + stats.depth
        assert stats.depth == len(self.channel) == len(self.model) <= stats.capacity
        assert (self.ready, self.room) == (self.told_ready, self.told_room)


AgainstAModel.TestCase.settings = settings(timeless, max_examples=80, stateful_step_count=30)


test_a_channel_does_what_the_model_does = AgainstAModel.TestCase


@timeless
@given(drops, st.integers(1, 4), st.integers(0, 12))
def test_stamps_go_through_untouched_and_in_order(drop: Drop, capacity: int, count: int) -> None:
    channel = Channel("c", capacity, drop)
    frames, out = [make_frame(seq, height_px=1, width_px=1) for seq in range(count)], []
    for frame in frames:
        if drop is not Drop.OLDEST and len(channel) == capacity:
            out.append(channel.get())
        channel.put(frame)
    channel.close()
    while (frame := channel.poll()) is not None:
        out.append(frame)
    assert all(any(frame is one for one in frames) for frame in out)
    kept = frames if drop is not Drop.OLDEST else frames[-capacity:]
    assert [frame.stamp for frame in out] == [frame.stamp for frame in kept]


@settings(timeless, max_examples=25)
@given(drops, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_between_threads_nothing_is_lost_twice_or_out_of_order(
    drop: Drop, capacity: int, putters: int, getters: int
) -> None:
    channel: Channel[tuple[int, int]] = Channel("c", capacity, drop)
    got: list[list[tuple[int, int]]] = [[] for _ in range(getters)]
    forgotten: list[tuple[int, int]] = []
    refused: list[tuple[int, int]] = []
    over = threading.Semaphore(0)

    def put(who: int) -> None:
        for number in range(60):
            try:
                forgotten.extend(channel.put((who, number)))
            except ChannelFull:
                refused.append((who, number))
            assert len(channel) <= capacity
        over.release()

    def get(mine: list[tuple[int, int]]) -> None:
        try:
            while True:
                mine.append(channel.get())
        except ChannelClosed:
            return

    def end() -> None:
        for _ in range(putters):
            assert over.acquire(timeout=PATIENCE_S)
        channel.close()

    with running(
        *[lambda who=who: put(who) for who in range(putters)],
        *[lambda mine=mine: get(mine) for mine in got],
        end,
    ):
        pass
    seen = [item for mine in got for item in mine]
    assert sorted(seen + forgotten + refused) == [(w, n) for w in range(putters) for n in range(60)]
    assert not forgotten or drop is Drop.OLDEST
    assert not refused or drop is Drop.NEVER
    for mine in got:
        for who in range(putters):
            numbers = [number for one, number in mine if one == who]
            assert numbers == sorted(numbers)
    stats = channel.stats()
    assert (stats.put, stats.got, stats.dropped) == (len(seen) + len(forgotten), len(seen), len(forgotten))


def test_closing_wakes_waiting_threads_and_coroutines() -> None:
    empty: Channel[int] = Channel("empty")
    full: Channel[int] = Channel("full", 1, Drop.WAIT)
    full.put(0)
    waiting = threading.Barrier(7)
    woken: list[str] = []

    def expect_closed(word: str, work, *arguments) -> None:
        waiting.wait(PATIENCE_S)
        with pytest.raises(ChannelClosed):
            work(*arguments)
        woken.append(word)

    async def ask(work, *arguments) -> None:
        await asyncio.wait_for(work(*arguments), PATIENCE_S)

    def close() -> None:
        waiting.wait(PATIENCE_S)
        empty.close()
        full.close()

    with running(
        lambda: expect_closed("get", empty.get),
        lambda: expect_closed("get", empty.get),
        lambda: expect_closed("put", full.put, 1),
        lambda: expect_closed("aget", lambda: asyncio.run(ask(empty.aget))),
        lambda: expect_closed("aget", lambda: asyncio.run(ask(empty.aget))),
        lambda: expect_closed("aput", lambda: asyncio.run(ask(full.aput, 1))),
        close,
    ):
        pass
    assert sorted(woken) == ["aget", "aget", "aput", "get", "get", "put"]
    assert full.get() == 0  # what is inside still comes out
    with pytest.raises(ChannelClosed):
        full.get()


def test_waiting_is_told_in_milliseconds() -> None:
    clock = ManualClock()
    channel: Channel[str] = Channel("c", 2, clock=clock)
    assert channel.stats().oldest_wait_ms == 0.0
    channel.put("a")
    clock.advance(ms=4)
    channel.put("b")
    clock.advance(ms=3)
    assert channel.stats().oldest_wait_ms == 7.0
    assert channel.poll_timed() == ("a", 7.0)
    assert channel.poll_timed() == ("b", 3.0)


def test_a_detached_listener_hears_nothing_more() -> None:
    channel, heard = Channel("c"), []
    detach = channel.on_ready(lambda: heard.append("ready"))
    channel.put(1)
    detach()
    detach()
    channel.put(2)
    channel.close()
    assert heard == ["ready"]


def test_a_listener_may_use_the_channel() -> None:
    channel, seen = Channel("c"), []
    channel.on_ready(lambda: seen.append(channel.poll()))
    channel.put(1)
    channel.put(2)
    channel.close()
    assert seen == [1, 2, None]


def test_a_channel_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity 0"):
        Channel("c", 0)
