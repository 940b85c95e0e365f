"""Lost packets are asked for until they come, as often as the line answers: pictures hardly stop."""

import asyncio

import pytest
from aiortc.rtp import RtpPacket

from realtime.webrtc.nacks import (
    FIRST_WAIT_S,
    HISTORY_PACKETS,
    JUMP_PACKETS,
    LEAST_WAIT_S,
    MOST_WAIT_S,
    Missing,
    RepeatingNacks,
)

from .lossy import longest_gap_ms


def answered(after_s: float, count: int) -> Missing:
    """Return the books of a line on which `count` lost packets came so long after they were asked for."""
    missing = Missing()
    for n in range(count):
        missing.came(10 * n, n)
        assert missing.came(10 * n + 2, n + 0.1)[-1] == 10 * n + 1
        missing.came(10 * n + 1, n + 0.1 + after_s)
        for number in range(10 * n + 3, 10 * n + 10):
            missing.came(number, n + 0.9)
    return missing


def test_what_is_missing_is_asked_for_at_once_and_then_when_its_answer_is_overdue() -> None:
    missing = Missing()
    assert missing.came(65_534, 0.0) == []
    assert missing.came(1, 0.01) == [65_535, 0]
    assert missing.next_s() == pytest.approx(0.01 + FIRST_WAIT_S)
    assert missing.came(3, 0.04) == [2]
    assert missing.due(0.03) == []
    assert missing.due(0.061) == [65_535, 0]  # 2 has been waited for 21 ms only
    assert missing.came(0, 0.062) == []
    assert missing.due(0.095) == [2]
    assert missing.due(0.112) == [65_535]
    missing.came(65_535, 0.12)
    missing.came(2, 0.12)
    assert missing.next_s() is None


@pytest.mark.parametrize(("after_s", "wait_s"), [(0.002, LEAST_WAIT_S), (0.080, 0.105), (1.5, MOST_WAIT_S)])
def test_the_wait_follows_the_answers(after_s: float, wait_s: float) -> None:
    assert answered(after_s, 2).wait_s == FIRST_WAIT_S
    assert answered(after_s, 9).wait_s == pytest.approx(wait_s)


def test_on_a_line_that_keeps_no_order_a_missing_packet_may_still_come() -> None:
    missing = Missing()
    missing.came(0, 0.0)
    now_s = 0.0
    for n in range(10, 90, 10):  # each time one overtakes another, by 15 ms
        now_s = n / 100
        for number in range(n - 9, n - 2):
            missing.came(number, now_s)
        held = missing.came(n, now_s) == []
        missing.came(n - 1, now_s + 0.015, is_copy=n == 10)
        missing.came(n - 2, now_s + 0.015)
        assert held == (n > 20)
    missing.came(92, now_s + 0.1)
    assert missing.due(now_s + 0.11) == []
    assert missing.due(now_s + 0.12) == [*range(81, 92)]
    for number in range(81, 94):
        missing.came(number, now_s + 6, is_copy=True)
    assert missing.came(95, now_s + 6) == [94]  # that was long ago


def test_answers_of_a_sender_without_copies_of_their_own_kind_are_not_late_packets() -> None:
    missing = answered(0.030, 9)
    assert missing.hold_s(9.0) == 0


def test_late_packets_are_not_missing_and_what_is_given_up_is_not_asked_for() -> None:
    missing = Missing()
    for number in (65_530, 65_533, 1, 4):
        missing.came(number, 0.0)
    assert missing.came(65_000, 0.0) == []  # long past, never missed
    missing.forget_before(0)
    assert [n for n in range(-10, 10) if n % 65_536 in missing] == [0, 2, 3]


def test_a_line_that_was_dead_is_not_asked_for_all_of_it() -> None:
    missing = Missing()
    missing.came(0, 0.0)
    assert len(missing.came(JUMP_PACKETS, 0.0)) == JUMP_PACKETS - 1
    assert missing.came(2 * JUMP_PACKETS + 1, 5.0) == []
    assert len(missing) == JUMP_PACKETS - 1
    missing.came(HISTORY_PACKETS + 100, 5.0)
    assert 99 not in missing
    assert 100 in missing


class Line:
    """Take a receiver's questions down."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[int]]] = []
        self.again = asyncio.Event()

    async def ask(self, stream: int, numbers: list[int]) -> None:
        self.asked.append((stream, numbers))
        if len(self.asked) == 3:
            self.again.set()


async def test_a_timer_asks_although_nothing_comes() -> None:
    nacks, line = RepeatingNacks(), Line()
    nacks.ask = line.ask
    for number in (5, 7):
        assert nacks.add(RtpPacket(sequence_number=number, ssrc=9)) is False
    await asyncio.wait_for(line.again.wait(), 5)
    assert line.asked[:3] == [(9, [6])] * 3
    nacks.stop()
    assert nacks._timer is None


async def test_a_silent_line_is_left_alone() -> None:
    now = [0.0]
    nacks, line = RepeatingNacks(lambda: now[0]), Line()
    nacks.ask = line.ask
    for number in (5, 7):
        nacks.add(RtpPacket(sequence_number=number, ssrc=9))
    now[0] = 1.0
    nacks._again()
    assert nacks._timer is None
    nacks.add(RtpPacket(sequence_number=8, ssrc=9))
    assert nacks._timer is not None  # the line is back
    nacks.stop()


@pytest.mark.parametrize(("share", "most_ms"), [(0.0, 40), (0.03, 110), (0.10, 170)])
@pytest.mark.parametrize("packets", [4, 16])
def test_pictures_do_not_stand_still(share: float, most_ms: float, packets: int) -> None:
    gaps_ms = [longest_gap_ms(share, packets, seed) for seed in range(5)]
    assert max(gaps_ms) < most_ms
    assert (max(gaps_ms) > 60) == (share > 0)  # loss does cost something
