"""What stages say beside pictures reaches the client: positions at a bounded rate, each happening at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from app.telling import TELL_HZ, Telling
from realtime.core.channel import Channel, Drop
from realtime.core.clock import ManualClock
from realtime.core.frame import Result, Stamp
from tests.vocabulary import PATIENCE_S, make_frame


@dataclass(frozen=True)
class Said:
    """A value that tells: how many there are, and perhaps that one came."""

    stamp: Stamp
    came: tuple[dict[str, Any], ...]
    asked: asyncio.Event

    def told(self, now_ns: int) -> dict[str, Any]:
        self.asked.set()
        return {"type": "seen", "things": [], "at_ns": now_ns, "happened": list(self.came)}


@dataclass(frozen=True)
class Word:
    """A value that says itself whether it has to be told."""

    is_news: bool
    number: int

    def told(self, now_ns: int) -> dict[str, Any]:
        return {"type": "heard", "turn": "end" if self.is_news else "update", "number": self.number}


async def test_news_are_told_however_many_there_are_and_the_rest_at_a_bounded_rate() -> None:
    channel: Channel[Result[Any]] = Channel("told", 200, Drop.NEVER)
    told: list[dict[str, Any]] = []
    for seq in range(100):  # all at one moment
        channel.put(Result(make_frame(seq).stamp, "hear", Word(seq % 2 == 0, seq), 1.0))
    telling = Telling([channel], told.append, ManualClock())
    await telling.close()
    assert [one["number"] for one in told if one["turn"] == "end"] == list(range(0, 100, 2))
    assert len([one for one in told if one["turn"] == "update"]) == 1


async def test_positions_are_told_at_a_bounded_rate_and_happenings_always() -> None:
    clock = ManualClock()
    channel: Channel[Result[Any]] = Channel("told", 100, Drop.NEVER)
    told: list[dict[str, Any]] = []
    telling = Telling([channel], told.append, clock)
    entered = {"what": "entered", "zone": "door", "says": "a person entered door"}
    for seq in range(20):  # 200 a second
        stamp, asked = make_frame(seq).stamp, asyncio.Event()
        channel.put(Result(stamp, "detect", None, 1.0))  # it failed on this one
        channel.put(Result(stamp, "detect", Said(stamp, (entered,) * (seq in (3, 4)), asked), 1.0))
        await asyncio.wait_for(asked.wait(), PATIENCE_S)
        clock.advance(ms=5)
    await telling.close()
    positions = [one for one in told if one["type"] == "seen"]
    happenings = [one for one in told if one["type"] == "result"]
    assert len(positions) == 2 == round(20 / 200 * TELL_HZ + 0.5)
    assert all(one["node"] == "detect" for one in told)
    assert happenings == [{"type": "result", "node": "detect", **entered}] * 2
