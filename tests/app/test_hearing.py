"""A session that hears: its stage gets all sound and the silence after it, its words become captions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction

import numpy as np
import pytest

from app import events, taps
from app.bodies import FromClient
from app.captions import Captions
from app.manager import SessionManager
from app.sounding import HUSH_S, Hush
from perception.asr.transcript import Transcript, Turn
from realtime.core.clock import NS_PER_S, ManualClock
from realtime.core.frame import AudioChunk, Stamp
from tests.app import stages

RATE = 48_000


def chunk(seq: int) -> AudioChunk:
    stamp = Stamp("mic", seq, seq * 960, Fraction(1, RATE), seq * NS_PER_S // 50)
    return AudioChunk(stamp, np.full(960, 0.1, np.float32), RATE)


def test_silence_follows_on_sound_that_has_stopped_and_only_then() -> None:
    hush = Hush()
    assert hush.take(10 * NS_PER_S) is None
    hush.heard(chunk(0))
    assert hush.take(NS_PER_S // 2) is None  # a line that is uneven
    first, second = hush.take(2 * NS_PER_S), hush.take(3 * NS_PER_S)
    assert first is not None
    assert second is not None
    assert first.stamp.pts == 960
    assert second.stamp.pts == 960 + len(first.samples)
    assert second.stamp.pts + len(second.samples) == 3 * RATE
    assert not first.samples.any()
    rest = hush.take(None)
    assert rest is not None
    assert len(first.samples) + len(second.samples) + len(rest.samples) == HUSH_S * RATE
    assert hush.take(None) is None
    hush.heard(chunk(400))
    assert hush.take(None) is not None


def test_only_final_words_belong_into_a_record_and_wait_for_a_client() -> None:
    noted: list[str] = []
    tap, box = taps.Taps(), events.Outbox()
    tap.listen(event=lambda kind, what: noted.append(what["turn"]))
    box.on_event = tap.hear
    for turn in Turn:
        box.put({"type": "heard", "turn": turn.value})
    assert noted == ["end"]
    got: list[events.Event] = []
    box.attach(got.append)
    assert "update" not in {one["turn"] for one in got}
    assert "end" in {one["turn"] for one in got}


@pytest.fixture
async def manager() -> AsyncIterator[SessionManager]:
    table = stages.registry("Invert", hears="Repeats")
    nodes = {"paint": {"stage": "paint"}, "hears": {"stage": "hears", "input": "source:sound"}}
    one = SessionManager(stages.settings(table, graph__nodes=nodes), table)
    yield one
    await one.close_all()


async def test_all_that_was_said_becomes_captions_which_outlive_the_session(manager: SessionManager) -> None:
    session = await manager.create(FromClient(kind="webrtc"), is_local=True)
    told: list[events.Event] = []
    is_ready = asyncio.Event()
    session.outbox.attach(lambda event: is_ready.set() if event["type"] == "ready" else told.append(event))
    async with asyncio.timeout(10):
        await is_ready.wait()
    for seq in range(130):  # 2.6 s at once
        session._put_sound(chunk(seq))
    await session.close()
    assert [one["text"] for one in told if one["type"] == "heard" and one["turn"] == "end"][:3] == [
        "heard 0", "heard 1", "heard 2",
    ]  # fmt: skip
    written = manager.captions.written(session.id, "srt")
    assert written is not None
    assert "00:00:01,000 --> 00:00:02,000\nheard 1\n" in written
    assert manager.captions.written(session.id, "ass") is None
    assert manager.captions.written("nobody's", "srt") is None


def test_captions_are_forgotten_some_time_after_the_session_has_ended() -> None:
    clock = ManualClock()
    captions = Captions(clock, keep_s=60)

    class Session:
        id, owner = "one", ""
        taps = taps.Taps()
        wiring = type("Wiring", (), {"hears": True})

    captions.follow(Session())  # type: ignore[arg-type]
    word = Transcript(Turn.END, 0, "hello", "", 0.0, 1.0).told(0)
    Session.taps.hear(word)
    clock.advance(ms=1e6)
    assert "hello" in (captions.written("one", "vtt") or "")
    captions.ended("one")
    clock.advance(ms=59_000)
    assert captions.written("one", "vtt")
    clock.advance(ms=2_000)
    assert captions.written("one", "vtt") is None
