"""Ask a sender for the packets that did not come, until they come (RFC 4585, 6.2.1 leaves the timing open).

aiortc asks once; when that question or its answer is lost too, pictures stand still. Packets come in bursts,
one a picture, so asking again only when something comes would cost a picture interval for each further loss:
a timer asks, as often as answers take to come on this line.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

from aiortc.rtcrtpreceiver import NackGenerator
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add, uint16_gt

HISTORY_PACKETS = 512
"""So far back is asked for: as much as the jitter buffer holds and senders of ours keep. aiortc keeps 128,
which at 6 Mbit/s are 200 ms."""
JUMP_PACKETS = 128
"""More missing at once are no loss but a line that was dead; a key picture is the way on."""
FIRST_WAIT_S, LEAST_WAIT_S, MOST_WAIT_S = 0.05, 0.02, 0.2
"""From one question to the next for the same packet: before an answer was timed, and within what bounds."""
ANSWERS_TIMED = 15
SILENCE_S = 0.5
"""When nothing comes for so long, asking waits for the line."""


class Missing:
    """Know which packets of a stream did not come, and when to ask for each. Pure: times are arguments."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self._asked_s: dict[int, tuple[float, float]] = {}
        """By packet, when it was asked for first and last; the oldest packet first."""
        self._answers_s: deque[float] = deque(maxlen=ANSWERS_TIMED)

    def __len__(self) -> int:
        return len(self._asked_s)

    def __contains__(self, number: int) -> bool:
        return number in self._asked_s

    @property
    def wait_s(self) -> float:
        """How long an answer is waited for."""
        if len(self._answers_s) < 3:
            return FIRST_WAIT_S
        return min(max(1.25 * median(self._answers_s) + 0.005, LEAST_WAIT_S), MOST_WAIT_S)

    def came(self, number: int, now_s: float) -> list[int]:
        """Note that packet `number` came; return what is missing since, to be asked for at once."""
        if self.newest is None or not uint16_gt(number, self.newest):
            self.newest = number if self.newest is None else self.newest
            if (asked := self._asked_s.pop(number, None)) is not None:
                # From the first question on: if the second was answered, that is too long, but no matter
                # how slow the line becomes it is never too short, and most are answered at the first.
                self._answers_s.append(now_s - asked[0])
            return []
        missed: list[int] = []
        if 0 < uint16_add(number, -self.newest) <= JUMP_PACKETS:
            one = uint16_add(self.newest, 1)
            while one != number:
                missed.append(one)
                one = uint16_add(one, 1)
        self.newest = number
        self.forget_before(uint16_add(number, -HISTORY_PACKETS))
        self._asked_s.update((one, (now_s, now_s)) for one in missed)
        return missed

    def due(self, now_s: float) -> list[int]:
        """Return what is to be asked for again now, and note that it is."""
        wait_s = self.wait_s
        again = [one for one, (_, last_s) in self._asked_s.items() if now_s - last_s >= wait_s - 0.001]
        for one in again:
            self._asked_s[one] = self._asked_s[one][0], now_s
        return again

    def next_s(self) -> float | None:
        """Return when something will be due; None while nothing is missing."""
        if not self._asked_s:
            return None
        return min(last_s for _, last_s in self._asked_s.values()) + self.wait_s

    def forget_before(self, number: int) -> None:
        """Ask no more for packets before `number`."""
        for one in [one for one in self._asked_s if uint16_gt(number, one)]:
            del self._asked_s[one]


class RepeatingNacks(NackGenerator):
    """Stand in for aiortc's; `ask` sends the questions, so `add` has nothing for the receiver to send."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.lost = Missing()
        self.ask: Callable[[int, list[int]], Coroutine[Any, Any, None]] | None = None
        """Sends one question, for packets of a stream (its SSRC) by number."""
        self._clock = clock
        self._stream = 0
        self._came_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def add(self, packet: RtpPacket) -> bool:
        """Take note of a packet, ask for those missing before it; False, since nothing is left to do."""
        self._stream, self._came_s = packet.ssrc, self._clock()
        self._ask(self.lost.came(packet.sequence_number, self._came_s))
        self._wind()
        return False

    def forget_before(self, number: int) -> None:
        """Ask no more for packets before `number`."""
        self.lost.forget_before(number)

    def stop(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.ask = None, None

    def _wind(self) -> None:
        next_s = self.lost.next_s()
        if next_s is not None and self._timer is None and self.ask is not None:
            wait_s = max(0.0, next_s - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._again)

    def _again(self) -> None:
        self._timer = None
        now_s = self._clock()
        if now_s - self._came_s < SILENCE_S:
            self._ask(self.lost.due(now_s))
            self._wind()

    def _ask(self, numbers: list[int]) -> None:
        if numbers and self.ask is not None:
            task = asyncio.get_running_loop().create_task(self.ask(self._stream, numbers))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
