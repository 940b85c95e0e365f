"""Sound of a session: on only when somebody turned it on, for each link, and for stages that hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from app import events
from app.bodies import FromClient, FromFile
from app.manager import SessionManager
from app.session import Session
from app.sounding import CHUNKS_HELD, Sounding, SoundRules
from app.wiring import House, Wiring
from realtime.core.clock import NS_PER_MS, MonotonicClock
from realtime.core.errors import ConfigError
from realtime.core.frame import SOUND_RATE_HZ, AudioChunk, Stamp
from realtime.core.stage import StageContext
from realtime.link import Role
from tests.app import stages
from tests.app.test_links import Wire
from tests.clips import make_clip

CLOCK = MonotonicClock()


def sound(seq: int, level: float = 0.1) -> AudioChunk:
    """20 ms that were captured until now."""
    stamp = Stamp("mic", seq, seq * 960, Fraction(1, SOUND_RATE_HZ), CLOCK.now_ns() - 20 * NS_PER_MS)
    return AudioChunk(stamp, np.full(960, level, np.float32), SOUND_RATE_HZ)


@pytest.fixture
def house() -> House:
    return House()


def wired(house: House, **nodes: dict[str, str]) -> Wiring:
    table = stages.registry(hears="Hears")
    settings = stages.settings(table, graph__nodes={"paint": {"stage": "paint"}, **nodes})
    return Wiring(settings, table, house, StageContext("test", shared=house.shared))


def made(wiring: Wiring, told: list[events.Event] | None = None, **rules: object) -> Sounding:
    return Sounding(
        wiring, SoundRules(**rules), clock=CLOCK, tell=told.append if told is not None else lambda event: None
    )  # fmt: skip


async def test_nothing_is_sent_unless_it_is_on(house: House) -> None:
    sounding = made(wired(house))
    out = sounding.subscribe()
    for seq in range(5):
        sounding.put(sound(seq))
    await asyncio.sleep(0)
    assert sounding.figures() == {}
    sounding.switch(True)
    sounding.put(sound(5))
    async with asyncio.timeout(5):
        first = await out.aget()
    assert first.samples.max() == pytest.approx(0.1)
    assert sounding.figures()["sound_ms"] >= 0
    sounding.put(sound(6))
    sounding.switch(False)
    assert sounding.figures() == {}
    assert len(out) == 0
    with pytest.raises(ConfigError, match="sound = 1 cannot"):
        sounding.switch(1)
    await sounding.close()
    await sounding.close()
    assert out.closed


async def test_every_link_hears_all_of_it_and_none_waits_for_another(house: House) -> None:
    sounding = made(wired(house), is_on=True)
    quick, stuck, gone = (sounding.subscribe() for _ in range(3))
    gone.close()
    heard = []
    for seq in range(CHUNKS_HELD + 5):
        sounding.put(sound(seq))
        async with asyncio.timeout(5):
            heard.append(await quick.aget())
    assert [one.stamp.seq for one in heard] == list(range(CHUNKS_HELD + 5))
    assert len(stuck) == CHUNKS_HELD
    assert stuck.stats().dropped == 5
    await sounding.close()


async def test_sound_waits_for_the_pictures(house: House) -> None:
    told: list[events.Event] = []
    sounding = made(wired(house), told, is_on=True, max_delay_ms=150)
    for _ in range(9):
        sounding.painted(120.0)
    out = sounding.subscribe()
    put = sound(0)
    sounding.put(put)
    async with asyncio.timeout(5):
        await out.aget()
    assert 115 <= put.stamp.age_ms(CLOCK.now_ns()) < 220
    assert told == []
    for _ in range(9):
        sounding.painted(900.0)
    for seq in range(1, 4):
        sounding.put(sound(seq))
        async with asyncio.timeout(5):
            await out.aget()
    assert len(told) == 1
    assert "goes ahead of the pictures" in told[0]["message"]
    await sounding.close()


async def test_a_stage_that_hears_gets_sound_whether_it_is_on_or_not(house: House) -> None:
    wiring = wired(house, ears={"stage": "hears", "input": "source:sound"})
    assert wiring.hears
    assert not wired(house).hears
    words = wiring._graph.subscribe("ears", capacity=8)
    wiring.open()
    sounding = made(wiring)
    sounding.put(sound(0, 0.25))
    result = await asyncio.to_thread(words.get, 5)
    assert result.value == "0.25"
    await sounding.close()
    wiring.close()
    house.close()


@pytest.fixture
async def manager() -> AsyncIterator[SessionManager]:
    table = stages.registry()
    one = SessionManager(stages.settings(table), table)
    yield one
    await one.close_all()


async def live(manager: SessionManager, **changes: object) -> Session:
    session = await manager.create(FromClient(), changes)
    ready = asyncio.Event()
    session.outbox.attach(lambda event: ready.set() if event["type"] == "ready" else None)
    async with asyncio.timeout(10):
        await ready.wait()
    return session


async def test_the_switch_is_a_setting_of_the_session(manager: SessionManager) -> None:
    session = await live(manager)
    assert session.settings()["sound"] is False
    session.hear({"type": "settings", "settings": {"sound": True, "strength": 0.5}})
    assert session.sounding.is_on
    assert session.settings()["strength"] == 0.5
    session.configure({"strength": 0.25})
    assert session.sounding.is_on
    with pytest.raises(ConfigError):
        session.configure({"sound": "loud", "strength": 0.75})
    with pytest.raises(ConfigError):
        session.configure({"sound": False, "strength": 7})
    assert session.settings()["sound"] is True  # all or nothing
    assert session.settings()["strength"] == 0.25
    assert (await live(manager, sound=True)).sounding.is_on
    with pytest.raises(ConfigError):
        await manager.create(FromClient(), {"sound": "yes"})


async def test_sound_goes_from_one_link_to_all_that_watch(manager: SessionManager) -> None:
    session = await live(manager, sound=True)
    page, wall, publisher = (session.ends(role, "test") for role in (Role.MAIN, Role.VIEW, Role.PUBLISH))
    assert publisher.sound is None
    assert wall.on_audio is None
    assert page.on_state is not None
    assert page.on_audio is not None
    page.on_audio(sound(0))  # its turn has not come
    page.on_state("connected")
    page.on_audio(sound(1))
    for ends in (page, wall):
        assert ends.sound is not None
        async with asyncio.timeout(5):
            assert (await ends.sound.aget()).samples.max() == pytest.approx(0.1)
    page.on_state("closed")
    assert page.sound is not None
    assert page.sound.closed
    await session.close()
    assert wall.sound is not None
    assert wall.sound.closed


async def test_a_file_is_heard_too(tmp_path: Path) -> None:
    table = stages.registry()
    clip = make_clip(tmp_path / "clip.mp4", 1.0, 30, (96, 96), flash_at=15)
    manager = SessionManager(stages.settings(table, source__file=str(clip), server__sound=True), table)
    session = await manager.create(FromFile(kind="file"))
    ends = session.ends(Role.VIEW, "test")
    assert ends.on_state is not None
    assert ends.sound is not None
    ends.on_state("connected")
    line = np.zeros(0, np.float32)
    async with asyncio.timeout(20):
        while len(line) < SOUND_RATE_HZ:
            line = np.concatenate([line, (await ends.sound.aget()).samples])
    assert np.abs(line).max() > 0.3  # the click
    await manager.close_all()


async def test_only_the_main_link_tells_how_old_pictures_are(manager: SessionManager) -> None:
    session = await live(manager)
    page, wall = session.ends(Role.MAIN, "test"), session.ends(Role.VIEW, "test")
    assert page.on_state is not None
    assert page.on_sent is not None
    assert wall.on_sent is not None
    wall.on_sent(500.0)
    page.on_sent(50.0)  # nobody has connected
    assert session.sounding._line.age_ms is None
    session.join(page, Wire("webrtc"))
    page.on_state("connected")
    wall.on_sent(500.0)
    page.on_sent(50.0)
    assert session.sounding._line.age_ms == 50
