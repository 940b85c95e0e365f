"""The awaiting face of a channel: closing wakes, cancelling loses nothing, the loop is never blocked."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.channel import Channel, Drop
from realtime.core.errors import ChannelClosed, ChannelFull
from tests.vocabulary import PATIENCE_S, running, timeless


async def test_closing_wakes_coroutines_that_surely_wait() -> None:
    empty: Channel[int] = Channel("empty")
    full: Channel[int] = Channel("full", 1, Drop.WAIT)
    full.put(0)
    tasks = [asyncio.create_task(work) for work in (empty.aget(), empty.aget(), full.aput(1))]
    await asyncio.sleep(0)  # each has run to its await
    assert not any(task.done() for task in tasks)
    with running(empty.close, full.close):
        ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_S)
    assert [type(end) for end in ends] == [ChannelClosed] * 3


async def test_iteration_ends_with_the_channel() -> None:
    channel: Channel[int] = Channel("c", 2, Drop.WAIT)

    def feed() -> None:
        for number in range(50):
            channel.put(number)
        channel.close()

    with running(feed):
        assert [item async for item in channel] == list(range(50))


async def test_an_awaiting_putter_waits_for_room_and_the_loop_goes_on() -> None:
    channel: Channel[int] = Channel("c", 1, Drop.WAIT)
    assert await channel.aput(1) == ()
    second = asyncio.create_task(channel.aput(2))
    await asyncio.sleep(0)
    assert not second.done()
    assert await channel.aget() == 1
    assert await asyncio.wait_for(second, PATIENCE_S) == ()
    assert channel.poll() == 2


async def test_the_async_put_forgets_and_refuses_like_the_other() -> None:
    live: Channel[int] = Channel("live")
    assert [await live.aput(n) for n in range(3)] == [(), (0,), (1,)]
    strict: Channel[int] = Channel("strict", drop=Drop.NEVER)
    await strict.aput(1)
    with pytest.raises(ChannelFull, match="strict"):
        await strict.aput(2)


@timeless
@given(st.lists(st.sampled_from(["ask", "put", "cancel", "put, cancel", "cancel, put", "turn"]), max_size=25))
def test_a_cancelled_aget_loses_no_item(steps: list[str]) -> None:
    async def play() -> None:
        channel: Channel[int] = Channel("c", 100)
        tasks: list[asyncio.Task[int]] = []
        count = 0
        for word in ", ".join(steps).split(", ") if steps else []:
            if word == "ask":
                tasks.append(asyncio.create_task(channel.aget()))
            elif word == "put":
                channel.put(count)
                count += 1
            elif word == "cancel" and tasks:
                tasks[len(tasks) // 2].cancel()
            else:
                await asyncio.sleep(0)
        channel.close()
        ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_S)
        got = [end for end in ends if isinstance(end, int)]
        while (item := channel.poll()) is not None:
            got.append(item)
        assert sorted(got) == list(range(count))
        assert channel._sleepers == []

    asyncio.run(play())


async def test_waiting_in_vain_leaves_nothing_behind() -> None:
    channel: Channel[int] = Channel("c")
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.aget(), 0.001)
    assert channel._sleepers == []


async def test_time_outs_that_race_with_puts_lose_no_item() -> None:
    channel: Channel[int] = Channel("c", 1, Drop.WAIT)
    got: list[int] = []

    def feed() -> None:
        for number in range(300):
            channel.put(number)
        channel.close()

    with running(feed):
        while True:
            try:
                got.append(await asyncio.wait_for(channel.aget(), 0.0002))
            except TimeoutError:
                continue
            except ChannelClosed:
                break
    assert got == list(range(300))


def test_a_loop_that_has_gone_does_not_trouble_the_putter() -> None:
    channel: Channel[int] = Channel("c", 4)
    loop = asyncio.new_event_loop()
    task = loop.create_task(channel.aget())
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert channel.put(7) == ()
    assert channel.poll() == 7
    task._log_destroy_pending = False
