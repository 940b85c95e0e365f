"""Window and bit rate on a clock of the test's own: a path is played, and the pace follows it."""

from __future__ import annotations

import math
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.websocket.pace import FALL, START_WINDOW, STUCK_S, Bounds, Pace


class Path:
    """Play a path: so many bits a second through one queue, then `delay_ms` to the acknowledgement."""

    def __init__(self, delay_ms: float, bits_per_s: float = math.inf, rate_hz: float = 30.0) -> None:
        self.pace = Pace()
        self.delay_ms = delay_ms
        self.bits_per_s = bits_per_s
        self.rate_hz = rate_hz
        self.now_ns = 0
        self.free_ns = 0
        self.seq = 0
        self.dropped = 0
        self.delays_ms: list[float] = []
        self._acks: deque[tuple[int, int]] = deque()

    def run(self, seconds: float, size_of: object = None) -> None:
        """Offer pictures for so long; each has the size that the bit rate asks for."""
        end_ns = self.now_ns + round(seconds * NS_PER_S)
        while self.now_ns < end_ns:
            self._acknowledge()
            if self.pace.has_room(self.now_ns):
                self._send(round(self.pace.bitrate_bps / 8 / self.rate_hz))
            else:
                self.dropped += 1
            self.now_ns += round(NS_PER_S / self.rate_hz)

    def _send(self, size: int) -> None:
        self.pace.sent(self.seq, size, False, self.now_ns)
        begin_ns = max(self.now_ns, self.free_ns)
        self.free_ns = begin_ns + round(8 * size / self.bits_per_s * NS_PER_S)
        self._acks.append((self.free_ns + round(self.delay_ms * NS_PER_MS), self.seq))
        self.seq += 1

    def _acknowledge(self) -> None:
        while self._acks and self._acks[0][0] <= self.now_ns:
            at_ns, seq = self._acks.popleft()
            delay_ms = self.pace.acked(seq, at_ns)
            assert delay_ms is not None
            self.delays_ms.append(delay_ms)


@pytest.mark.parametrize(("delay_ms", "window"), [(1, 2), (33, 2), (34, 3), (120, 5), (250, 9)])
def test_the_window_holds_the_path_and_one_more(delay_ms: float, window: int) -> None:
    path = Path(delay_ms)
    path.run(3)
    assert path.pace.window(path.now_ns) == window
    path.dropped = 0
    path.run(2)
    assert path.dropped == 0, "a path with room for all drops nothing"


def test_before_anything_is_known_a_few_may_go() -> None:
    pace = Pace()
    for seq in range(START_WINDOW):
        assert pace.has_room(0)
        pace.sent(seq, 1000, False, 0)
    assert not pace.has_room(0)


def test_a_narrow_path_is_found_and_its_queue_stays_short() -> None:
    path = Path(20, bits_per_s=600_000)
    path.run(15)
    path.delays_ms.clear()
    path.run(20)
    assert 250_000 < path.pace.bitrate_bps < 660_000
    assert sorted(path.delays_ms)[int(0.95 * len(path.delays_ms))] < 120


def test_a_wide_path_is_used_slowly_more() -> None:
    path = Path(20)
    path.run(1)
    early = path.pace.bitrate_bps
    path.run(10)
    later = path.pace.bitrate_bps
    assert early < later <= Bounds().most_bps
    path.run(60)
    assert path.pace.bitrate_bps == Bounds().most_bps


def test_the_rate_falls_within_a_second_when_the_path_narrows() -> None:
    path = Path(20)
    path.run(20)
    before = path.pace.bitrate_bps
    path.bits_per_s = 400_000
    path.run(1.5)
    assert path.pace.bitrate_bps < FALL * before
    path.run(10)
    assert path.pace.bitrate_bps < 450_000


def test_pictures_of_a_still_scene_do_not_raise_the_rate() -> None:
    pace = Pace()
    for seq in range(300):
        now_ns = seq * NS_PER_S // 30
        pace.sent(seq, 200, False, now_ns)
        pace.acked(seq, now_ns + 5 * NS_PER_MS)
    assert pace.bitrate_bps == Bounds().start_bps


def test_a_key_picture_that_takes_long_is_no_queue() -> None:
    pace = Pace()
    for seq in range(60):
        now_ns = seq * NS_PER_S // 30
        pace.sent(seq, 4000, seq == 40, now_ns)
        pace.acked(seq, now_ns + (200 if seq == 40 else 10) * NS_PER_MS)
    assert pace.bitrate_bps >= Bounds().start_bps


def test_sizes_step_down_at_low_rates_and_come_back_later() -> None:
    pace = Pace()
    seen = []
    for bitrate in (1_000_000, 450_000, 240_000, 240_000, 350_000, 450_000, 700_000, 900_000):
        pace.bitrate_bps = bitrate
        pace.resize(640 * 480)
        seen.append(pace.scale)
    assert seen == [1.0, 0.75, 0.5, 0.5, 0.5, 0.75, 0.75, 1.0]
    pace.bitrate_bps = 300_000
    pace.resize(256 * 256)
    assert pace.scale == 1.0, "small pictures need less"


def test_a_receiver_that_acknowledges_nothing_gets_a_few_now_and_then() -> None:
    pace = Pace()
    sent = 0
    for step in range(300):
        now_ns = step * NS_PER_S // 30
        if pace.has_room(now_ns):
            pace.sent(sent, 1000, False, now_ns)
            sent += 1
    assert START_WINDOW < sent <= START_WINDOW * (10 / STUCK_S + 1)


stories = st.lists(
    st.tuples(st.sampled_from("sa"), st.integers(0, 2**32 - 1), st.integers(0, 10**9)), max_size=60
)


@given(stories)
def test_whatever_is_acknowledged_the_bounds_hold(story: list[tuple[str, int, int]]) -> None:
    pace, now_ns, seq = Pace(), 0, 2**32 - 5
    for what, number, step_ns in story:
        now_ns += step_ns
        if what == "s":
            pace.sent(seq, number % 100_000, False, now_ns)
            seq = (seq + 1) % 2**32
        else:
            pace.acked(number, now_ns)
        assert Bounds().least_bps <= pace.bitrate_bps <= Bounds().most_bps
        assert 2 <= pace.window(now_ns) <= Bounds().most_in_flight


def test_numbers_wrap() -> None:
    pace = Pace()
    for offset in range(10):
        pace.sent((2**32 - 5 + offset) % 2**32, 1000, False, offset * NS_PER_MS)
    pace.acked(2, 20 * NS_PER_MS)
    assert pace.in_flight == 2
