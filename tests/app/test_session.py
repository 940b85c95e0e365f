"""A session's life: which state may follow which, and when one that nobody uses is ended."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app import events
from app.bodies import FromClient, FromPattern
from app.manager import SessionManager
from app.patience import LINGER_S
from app.session import Session
from app.states import MOVES, State, moved
from realtime.core.channel import Channel, Drop
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError, SessionError
from realtime.core.frame import Frame, Result
from realtime.core.seat import ERRORS_TO_SWITCH_OFF
from realtime.link import Role
from tests.app import stages
from tests.vocabulary import make_frame

S = State
ALLOWED = {
    (S.NEW, S.OPENING),
    (S.NEW, S.CLOSED),
    (S.NEW, S.FAILED),
    (S.OPENING, S.LIVE),
    (S.OPENING, S.DRAINING),
    (S.OPENING, S.FAILED),
    (S.LIVE, S.DRAINING),
    (S.LIVE, S.FAILED),
    (S.DRAINING, S.CLOSED),
    (S.DRAINING, S.FAILED),
    (S.FAILED, S.CLOSED),
}


@pytest.mark.parametrize(("now", "to"), [*itertools.product(State, State)])
def test_the_table_of_states(now: State, to: State) -> None:
    if (now, to) in ALLOWED:
        assert moved(now, to) is to
        return
    with pytest.raises(SessionError, match=f"{now.value} cannot become {to.value}"):
        moved(now, to)


def test_every_state_leads_to_the_end() -> None:
    reached = {S.CLOSED}
    for _ in State:
        reached |= {state for state, after in MOVES.items() if after & reached}
    assert reached == set(State)


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def manager(clock: ManualClock) -> AsyncIterator[SessionManager]:
    one = managed("Invert", clock)
    yield one
    await one.close_all()


def managed(stage: str, clock: ManualClock) -> SessionManager:
    table = stages.registry(stage)
    given: dict[str, Any] = {"server__connect_timeout_s": 30.0, "server__idle_timeout_s": 60.0}
    return SessionManager(stages.settings(table, **given), table, clock=clock)


def turns(session: Session, role: Role = Role.MAIN) -> Callable[[str], object]:
    """Make a link's ends and return what tells the session of its state."""
    turn = session.ends(role, "test").on_state
    assert turn is not None
    return turn


async def ended(session: Session) -> str:
    async with asyncio.timeout(10):
        await session.closed.wait()
    assert session.state is State.CLOSED
    return session.why


async def live(session: Session) -> Session:
    """Wait until a session is live."""
    ready = asyncio.Event()
    session.outbox.attach(lambda event: ready.set() if event["type"] == "ready" else None)
    async with asyncio.timeout(10):
        await ready.wait()
    return session


async def test_a_session_that_nobody_connects_to_is_closed(
    manager: SessionManager, clock: ManualClock
) -> None:
    session = await manager.create(FromPattern(kind="pattern"))
    assert session.overdue(clock.now_ns()) == ""
    clock.advance(ms=30_001)
    assert await ended(session) == "Nobody connected within 30 s."
    assert len(manager) == 0
    with pytest.raises(SessionError, match="Nobody connected"):
        manager.get(session.id)


async def test_a_client_that_falls_silent_is_closed(manager: SessionManager, clock: ManualClock) -> None:
    session = await live(await manager.create(FromClient()))
    turns(session)("connected")
    for _ in range(3):  # a ping a minute, nearly, keeps it
        clock.advance(ms=59_000)
        session.hear({"type": "ping", "sent_ms": 0})
    assert session.overdue(clock.now_ns()) == ""
    clock.advance(ms=60_001)
    assert await ended(session) == "Nothing was heard for 60 s."


async def test_one_that_only_watches_may_be_silent_until_it_has_spoken(
    manager: SessionManager, clock: ManualClock
) -> None:
    session = await live(await manager.create(FromPattern(kind="pattern", count=1)))
    turns(session)("connected")
    clock.advance(ms=600_000)
    assert session.overdue(clock.now_ns()) == ""
    session.hear({"type": "ping", "sent_ms": 0})
    clock.advance(ms=60_001)
    assert await ended(session) == "Nothing was heard for 60 s."


async def test_a_failed_session_lingers_so_that_its_page_can_read_why(clock: ManualClock) -> None:
    manager = managed("NoModel", clock)
    session = await manager.create(FromPattern(kind="pattern"))
    failed = asyncio.Event()
    session.outbox.attach(lambda event: failed.set() if event["type"] == "error" else None)
    async with asyncio.timeout(10):
        await failed.wait()
    assert session.state is State.FAILED
    assert manager.get(session.id) is session
    with pytest.raises(SessionError):
        session.configure({"strength": 0.5})
    clock.advance(ms=LINGER_S * 1000 + 1)
    assert "models fetch fox" in await ended(session)
    await manager.close_all()


async def test_the_other_side_going_ends_it_after_a_while(
    manager: SessionManager, clock: ManualClock
) -> None:
    session = await live(await manager.create(FromClient()))
    turn = turns(session)
    turn("connected")
    clock.advance(ms=30_000)
    assert session.overdue(clock.now_ns()) == ""
    turn("closed")
    clock.advance(ms=20_000)
    assert session.overdue(clock.now_ns()) == ""  # it may come back
    clock.advance(ms=1)
    assert await ended(session) == "The other side has gone."
    never = await manager.create(FromClient())
    turns(never)("failed")
    clock.advance(ms=30_001)
    assert await ended(never) == "No connection came about."


async def test_closing_while_the_models_load_ends_at_once(clock: ManualClock) -> None:
    stages.OpensSlowly.gate = stages.Gate()
    stages.OpensSlowly.closed.clear()
    manager = managed("OpensSlowly", clock)
    session = await manager.create(FromPattern(kind="pattern"))
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, stages.OpensSlowly.gate.arrived.wait, 5)
    await manager.close(session.id)
    assert len(manager) == 0
    stages.OpensSlowly.gate.release.set()
    assert await loop.run_in_executor(None, stages.OpensSlowly.closed.wait, 5)
    await manager.close_all()


async def test_messages_of_the_page_change_live_settings(manager: SessionManager) -> None:
    session = await live(await manager.create(FromClient()))
    session.hear({"type": "settings", "settings": {"strength": 0.25}})
    assert session.wiring.settings()["strength"] == 0.25
    for wrong in ("much", None, ["strength"]):
        session.hear({"type": "settings", "settings": wrong})  # no object: not for us
    with pytest.raises(ConfigError):  # the control channel sends it back as an error event
        session.hear({"type": "settings", "settings": {"strenght": 1}})
    assert session.wiring.settings()["strength"] == 0.25


async def test_ending_twice_at_once_is_one_end(manager: SessionManager) -> None:
    session = await manager.create(FromPattern(kind="pattern"))
    await asyncio.gather(session.close("first"), session.close("second"))
    assert session.why == "first"
    assert session.state is State.CLOSED


async def test_a_stage_that_always_fails_is_told_then_switched_off_and_the_session_lives_on(
    clock: ManualClock,
) -> None:
    manager = managed("AlwaysFails", clock)
    session = await live(await manager.create(FromClient()))
    heard: Channel[events.Event] = Channel("events", capacity=512, drop=Drop.NEVER)
    session.outbox.attach(heard.put)

    async def hear(kind: str) -> events.Event:
        async with asyncio.timeout(10):
            while (event := await heard.aget())["type"] != kind:
                continue
            return event

    output = session.wiring.output

    async def paint(seq: int) -> Result[Frame]:
        session.feed(make_frame(seq))
        async with asyncio.timeout(10):
            return await output.aget()

    assert (await paint(0)).error is not None
    notice = await hear("notice")
    assert notice["message"] == "paint failed: ZeroDivisionError: a fault"
    assert notice["hint"]
    for seq in range(1, ERRORS_TO_SWITCH_OFF):
        assert (await paint(seq)).error is not None
    told = await hear("error")
    assert told["permanent"]
    assert "switched off" in told["message"]
    passed = await paint(ERRORS_TO_SWITCH_OFF)
    assert passed.value is not None
    assert (passed.value.pixels == make_frame(ERRORS_TO_SWITCH_OFF).pixels).all()
    assert session.state is State.LIVE
    await manager.close_all()


async def test_what_a_stage_says_while_it_runs_is_a_notice(manager: SessionManager) -> None:
    session = await live(await manager.create(FromClient()))
    heard: list[events.Event] = []
    session.outbox.attach(heard.append)
    session.report("The prompt is longer than this model reads.")
    assert heard[-1]["type"] == "notice"
    assert heard[-1]["message"].startswith("The prompt is longer")


# What waits for the page ----------------------------------------------------------------------------------


def test_events_wait_until_somebody_listens_but_old_figures_do_not() -> None:
    outbox, heard = events.Outbox(), []
    outbox.put(events.progress("Loading.", 0.25))
    outbox.put({"type": "stats", "fps": 1.0})
    outbox.put(events.ready({"name": "torch", "why": "asked"}))
    outbox.attach(heard.append)
    outbox.put({"type": "stats", "fps": 2.0})
    assert [event["type"] for event in heard] == ["progress", "ready", "stats"]
    assert heard[-1]["fps"] == 2.0
    outbox.detach()
    for number in range(40):
        outbox.put(events.notice(str(number)))
    outbox.attach(heard.append)
    assert heard[3]["type"] == "ready"  # who comes back is told so
    assert [event["message"] for event in heard[4:]] == [str(number) for number in range(24, 40)]


def test_an_error_event_says_what_the_page_shows() -> None:
    event = events.trouble(ConfigError("Wrong.", hint="Right."))
    assert event == {
        "type": "error",
        "message": "Wrong.",
        "hint": "Right.",
        "kind": "ConfigError",
        "permanent": True,
    }
