"""Where the rate is held down, the pictures that go are as young as without: others are forgotten."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import numpy as np
import pytest

from realtime.core.channel import Channel
from realtime.core.frame import Frame, Stamp
from realtime.webrtc.line import Line
from realtime.webrtc.painted import PaintedTrack

NS_PER_MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.ms = 0

    def now_ns(self) -> int:
        return self.ms * NS_PER_MS


@pytest.mark.parametrize(("bits_s", "gone"), [(6_000_000, range(13)), (120_000, range(0, 13, 2))])
async def test_pictures_go_when_they_come_or_never(bits_s: int, gone: range) -> None:
    clock, line = Clock(), Line()
    line.estimated(bits_s, 0.0)
    channel: Channel[Frame] = Channel("painted", clock=clock)
    ages_ms: list[float] = []
    track = PaintedTrack(channel, clock=clock, line=line, on_sent=ages_ms.append)
    pixels = np.zeros((480, 640, 3), np.uint8)
    sent = []

    async def send() -> None:
        while True:
            await track.recv()
            sent.append(track.last_stamp.seq)  # type: ignore[union-attr]

    sending = asyncio.create_task(send())
    for number in range(13):
        clock.ms = 33 * number
        channel.put(Frame(Stamp("test", number, number, Fraction(1, 30), clock.now_ns()), pixels))
        for _ in range(200):  # until it is sent or taken and forgotten, by threads too
            await asyncio.sleep(0.001)
            if channel.stats().got > number and sent == [one for one in gone if one <= number]:
                break
    sending.cancel()
    assert sent == list(gone)
    assert max(ages_ms) == 0
