"""How sessions end that nobody closed: by their time limit, and with the server. Their clients are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.bodies import FromClient
from app.manager import SessionManager
from app.patience import spoken
from app.session import Session
from app.states import State
from realtime.core.channel import Channel, Drop
from realtime.core.clock import ManualClock
from tests.app import stages
from tests.app.test_loopback import Watcher
from tests.app.test_server import PATTERN, made, serving
from tests.app.test_session import ended, live, turns
from tests.vocabulary import DRAIN_TICKS, make_frame

Heard = Channel[dict[str, object]]


@asynccontextmanager
async def limited(
    limit_s: float, clock: ManualClock, stage: str = "Invert"
) -> AsyncIterator[tuple[SessionManager, Session, Heard]]:
    table = stages.registry(stage)
    given = {"server__session_limit_s": limit_s, "server__idle_timeout_s": 86_400}
    manager = SessionManager(stages.settings(table, **given), table, clock=clock)
    session = await live(await manager.create(FromClient()))
    turns(session)("connected")
    heard: Heard = Channel("events", capacity=512, drop=Drop.NEVER)
    session.outbox.attach(heard.put)
    yield manager, session, heard
    await manager.close_all()


async def hear(heard: Heard, kind: str) -> dict[str, object]:
    async with asyncio.timeout(10):
        while (event := await heard.aget())["type"] != kind:
            continue
        return event


async def test_a_session_ends_at_its_limit_and_is_told_a_minute_before() -> None:
    clock = ManualClock()
    async with limited(600, clock) as (_, session, heard):
        clock.advance(ms=539_000)
        assert session._patience.warning(clock.now_ns()) == ""
        clock.advance(ms=1_000)
        assert (await hear(heard, "notice"))["message"] == "This session ends in 1 minute."
        clock.advance(ms=60_000)
        assert session.overdue(clock.now_ns()) == ""
        clock.advance(ms=1)
        event = await hear(heard, "error")
        assert event["message"] == "The time of 10 minutes is over."
        assert event["permanent"]
        assert await ended(session) == "The time of 10 minutes is over."


async def test_a_short_limit_is_told_of_at_half() -> None:
    clock = ManualClock()
    async with limited(20, clock) as (_, session, heard):
        clock.advance(ms=10_000)
        assert (await hear(heard, "notice"))["message"] == "This session ends in 10 s."
        assert session._patience.warning(clock.now_ns()) == ""  # once


async def test_without_a_limit_it_goes_on() -> None:
    clock = ManualClock()
    async with limited(0, clock) as (_, session, _heard):
        clock.advance(ms=80_000_000)
        assert session.overdue(clock.now_ns()) == ""
        assert session._patience.warning(clock.now_ns()) == ""


@pytest.mark.parametrize(
    ("time_s", "said"),
    [(60, "1 minute"), (600, "10 minutes"), (90, "90 s"), (7.5, "7.5 s")],
)
def test_spoken(time_s: float, said: str) -> None:
    assert spoken(time_s) == said


async def test_a_server_that_stops_finishes_the_picture_in_flight() -> None:
    stages.Slow.gate = stages.Gate()
    table = stages.registry("Slow")
    manager = SessionManager(stages.settings(table, server__drain_timeout_s=20.0), table)
    session = await live(await manager.create(FromClient()))
    painted = session.wiring.subscribe()
    session.feed(make_frame(0))
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, stages.Slow.gate.arrived.wait, 10)
    closing = asyncio.create_task(manager.close_all())
    for _ in range(DRAIN_TICKS):
        await asyncio.sleep(0)
    assert session.state is State.DRAINING
    assert not closing.done()
    stages.Slow.gate.release.set()
    async with asyncio.timeout(10):
        result = await painted.aget()
        await closing
    assert result.value is not None
    assert result.value.stamp.seq == 0
    assert session.state is State.CLOSED


@pytest.mark.parametrize(("limit_s", "said"), [(0, "The server stops."), (4, "The time of 4 s is over.")])
async def test_clients_are_told_that_the_server_stops_or_that_their_time_is_over(
    limit_s: float, said: str
) -> None:
    watcher = Watcher()

    def is_told() -> bool:
        return said in [message.get("message") for message in watcher.messages]

    async with serving(server__session_limit_s=limit_s) as http:
        await watcher.join(http, await made(http, PATTERN))
        await watcher.control_open()
        await watcher.pictures(3)
        if limit_s:
            await watcher.until(is_told)
    await watcher.until(is_told)
    await watcher.close()
