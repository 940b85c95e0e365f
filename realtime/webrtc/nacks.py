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
from dataclasses import dataclass
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
LATE_KNOWN_S, MOST_HOLD_S = 5.0, 0.06
"""Packets that came by themselves after others of late show a line that does not keep the order: there a
missing one is waited for as long as those took, but not longer than the second."""
SILENCE_S = 0.5
"""When nothing comes for so long, asking waits for the line."""


@dataclass(slots=True)
class Wanted:
    """Hold what is known of one missing packet."""

    missed_s: float
    due_s: float
    """When it is to be asked for, next."""
    asked_s: float | None = None
    """When it was, first."""


class Missing:
    """Know which packets of a stream did not come, and when to ask for each. Pure: times are arguments."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self._wanted: dict[int, Wanted] = {}
        """By number, the oldest first."""
        self._answers_s: deque[float] = deque(maxlen=ANSWERS_TIMED)
        self._late_s: deque[tuple[float, float]] = deque(maxlen=ANSWERS_TIMED)
        """(When, by how much) packets that were missed came by themselves."""
        self._knows_copies = False

    def __len__(self) -> int:
        return len(self._wanted)

    def __contains__(self, number: int) -> bool:
        return number in self._wanted

    @property
    def wait_s(self) -> float:
        """How long an answer is waited for."""
        if len(self._answers_s) < 3:
            return FIRST_WAIT_S
        return min(max(1.25 * median(self._answers_s) + 0.005, LEAST_WAIT_S), MOST_WAIT_S)

    def hold_s(self, now_s: float) -> float:
        """Return how long a missing packet may still come by itself; 0 on a line that keeps the order."""
        late_s = [by_s for when_s, by_s in self._late_s if now_s - when_s < LATE_KNOWN_S]
        return min(max(late_s) + 0.002, MOST_HOLD_S) if len(late_s) >= 3 else 0.0

    def came(self, number: int, now_s: float, *, is_copy: bool = False) -> list[int]:
        """Note that packet `number` came; return what is to be asked for at once."""
        self._knows_copies |= is_copy
        if self.newest is None or not uint16_gt(number, self.newest):
            self.newest = number if self.newest is None else self.newest
            if (wanted := self._wanted.pop(number, None)) is not None:
                self._learn(wanted, now_s, is_copy)
            return []
        missed: list[int] = []
        if 0 < uint16_add(number, -self.newest) <= JUMP_PACKETS:
            one = uint16_add(self.newest, 1)
            while one != number:
                missed.append(one)
                one = uint16_add(one, 1)
        self.newest = number
        self.forget_before(uint16_add(number, -HISTORY_PACKETS))
        if not missed:
            return []
        due_s = now_s + self.hold_s(now_s)
        self._wanted.update((one, Wanted(now_s, due_s)) for one in missed)
        return self.due(now_s) if due_s == now_s else []

    def due(self, now_s: float) -> list[int]:
        """Return what is to be asked for now, and note that it is."""
        asked = [(number, one) for number, one in self._wanted.items() if one.due_s <= now_s + 0.001]
        for _, one in asked:
            one.asked_s = now_s if one.asked_s is None else one.asked_s
            one.due_s = now_s + self.wait_s
        return [number for number, _ in asked]

    def next_s(self) -> float | None:
        """Return when something will be due; None while nothing is missing."""
        return min((one.due_s for one in self._wanted.values()), default=None)

    def forget_before(self, number: int) -> None:
        """Ask no more for packets before `number`."""
        for one in [one for one in self._wanted if uint16_gt(number, one)]:
            del self._wanted[one]

    def _learn(self, wanted: Wanted, now_s: float, is_copy: bool) -> None:
        by_itself = wanted.asked_s is None or (self._knows_copies and not is_copy)
        if by_itself:
            self._late_s.append((now_s, now_s - wanted.missed_s))
        elif wanted.asked_s is not None:
            # From the first question on: if the second was answered, that is too long, but no matter how
            # slow the line becomes it is never too short, and most are answered at the first.
            self._answers_s.append(now_s - wanted.asked_s)


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
        is_copy = getattr(packet, "is_copy", False)
        self._ask(self.lost.came(packet.sequence_number, self._came_s, is_copy=is_copy))
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


# Where they are put in; see tuning.py.


def asking(make: Callable[..., None]) -> Callable[..., None]:
    """Return a receiver's __init__ that lets its book of missing packets ask."""

    def init(self: Any, kind: str, transport: Any) -> None:
        make(self, kind, transport)
        nacks = self._RTCRtpReceiver__nack_generator
        if isinstance(nacks, RepeatingNacks):
            nacks.ask = self._send_rtcp_nack
            self._RTCRtpReceiver__jitter_buffer.on_skip = nacks.forget_before

    return init


def ending(stop: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Return a receiver's `stop` that ends the asking too."""

    async def end(self: Any) -> None:
        nacks = self._RTCRtpReceiver__nack_generator
        if isinstance(nacks, RepeatingNacks):
            nacks.stop()
        await stop(self)

    return end


def marking(unwrap: Callable[..., RtpPacket]) -> Callable[..., RtpPacket]:
    """Return an `unwrap_rtx` (RFC 4588) whose packets can be told from those that came by themselves."""

    def marked(rtx: RtpPacket, payload_type: int, ssrc: int) -> RtpPacket:
        packet = unwrap(rtx, payload_type=payload_type, ssrc=ssrc)
        packet.is_copy = True  # type: ignore[attr-defined]
        return packet

    return marked
