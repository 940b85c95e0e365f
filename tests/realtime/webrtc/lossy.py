"""A sender and a receiver of pictures with a line between them that loses packets, in simulated time.

Both are made of the parts that real ones are made of: the line's books on one side; buffer and book of
missing packets on the other. Questions get lost like pictures.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from aiortc.rtp import RtpPacket

from realtime.webrtc.buffers import PromptJitterBuffer
from realtime.webrtc.line import Line
from realtime.webrtc.nacks import HISTORY_PACKETS, Missing

PICTURE_S = 1 / 30
PACKET_BITS = 8 * 1260
WAY_S = 0.0005
BETWEEN_PACKETS_S = 0.00005
KEY_PACKETS = 35
KEYS_APART_S = 0.5
KEY = b"\x00\x00\x00\x01\x67"


class Lossy:
    """One stream of pictures over one line; `run` returns when which picture came out."""

    def __init__(self, share: float, packets: int, seed: int) -> None:
        self._share, self._packets = share, packets
        self._chance = random.Random(seed)
        self._now_s = 0.0
        self._todo: list[tuple[float, int, Callable[..., None], Any]] = []
        self._order = itertools.count()
        self._line = Line(most_bits_s=20_000_000)
        self._kept: dict[int, RtpPacket] = {}
        self._number = 60_000
        self._wants_key, self._key_s = True, float("-inf")
        self._buffer = PromptJitterBuffer(capacity=512, is_video=True)
        self._buffer.clock = lambda: self._now_s
        self._missing = Missing()
        self._buffer.on_skip = self._missing.forget_before
        self._timer_s: float | None = None
        self.out: list[tuple[float, int]] = []

    def run(self, pictures: int) -> list[tuple[float, int]]:
        for picture in range(pictures):
            self._at(picture * PICTURE_S, self._send_picture, picture)
        while self._todo:
            self._now_s, _, act, what = heapq.heappop(self._todo)
            act(what)
        return self.out

    def _at(self, when_s: float, act: Callable[..., None], what: Any) -> None:
        heapq.heappush(self._todo, (when_s, next(self._order), act, what))

    def _over(self, when_s: float, act: Callable[..., None], what: Any) -> None:
        """Give something to the line."""
        if self._chance.random() >= self._share:
            self._at(when_s + WAY_S, act, what)

    # The sender.

    def _send_picture(self, picture: int) -> None:
        is_key, self._wants_key = self._wants_key, False
        count = KEY_PACKETS if is_key else self._packets
        for n in range(count):
            self._number = (self._number + 1) % 65_536
            last = int(n == count - 1)
            packet = RtpPacket(sequence_number=self._number, timestamp=3000 * picture, marker=last)
            packet._data = KEY if is_key and n == 0 else b"x"  # type: ignore[attr-defined]
            self._kept[self._number % HISTORY_PACKETS] = packet
            self._over(self._now_s + n * BETWEEN_PACKETS_S, self._come, packet)

    def _repeat(self, numbers: list[int]) -> None:
        for number in numbers:
            packet = self._kept[number % HISTORY_PACKETS]
            if packet.sequence_number == number and self._line.may_repeat(number, PACKET_BITS, self._now_s):
                self._over(self._now_s, self._come, packet)

    def _send_key(self, _: None) -> None:
        if self._now_s - self._key_s >= KEYS_APART_S:
            self._wants_key, self._key_s = True, self._now_s

    # The receiver.

    def _come(self, packet: RtpPacket) -> None:
        self._ask(self._missing.came(packet.sequence_number, self._now_s))
        asks, first = self._buffer.add(packet)
        if asks:
            self._over(self._now_s, self._send_key, None)
        if first is not None:
            later = getattr(first, "later", [])
            self.out += [(self._now_s, one.timestamp // 3000) for one in (first, *later)]

    def _ask(self, numbers: list[int]) -> None:
        if numbers:
            self._over(self._now_s, self._repeat, numbers)
        next_s = self._missing.next_s()
        if next_s is not None and self._timer_s is None:
            self._timer_s = max(next_s, self._now_s)
            self._at(self._timer_s, self._again, None)

    def _again(self, _: None) -> None:
        self._timer_s = None
        self._ask(self._missing.due(self._now_s))


def longest_gap_ms(share: float, packets: int, seed: int, seconds: int = 10) -> float:
    """Return the longest time without a new picture after the first two seconds."""
    out = Lossy(share, packets, seed).run(30 * seconds)
    assert [picture for _, picture in out] == sorted({picture for _, picture in out})
    assert out[-1][1] > 30 * seconds - 3, "the end did not come"
    times = [when for when, _ in out if when > 2]
    return 1000 * max(after - before for before, after in itertools.pairwise(times))
