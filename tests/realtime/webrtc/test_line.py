"""What a sender learns of the line: it slows down for a jam, not for chance loss, and never floods."""

from itertools import pairwise

import pytest

from realtime.webrtc.line import BACKLOG_S, LEAST_BITS_S, MOST_BITS_S, START_BITS_S, Line


def reports(line: Line, seconds: float, loss: float, trip_s: float | None, begin_s: float = 0.0) -> float:
    """Report once a second; return the time after the last."""
    for second in range(int(seconds)):
        line.reported(loss, trip_s, begin_s + second)
    return begin_s + seconds


def test_a_free_line_is_used_up_to_the_limit() -> None:
    line = Line(most_bits_s=4_000_000)
    assert line.bits_s(0) == START_BITS_S
    now = reports(line, 5, 0.0, 0.02)
    assert START_BITS_S < line.bits_s(now) < 4_000_000
    assert line.bits_s(reports(line, 30, 0.0, 0.02, now)) == 4_000_000


def test_the_receiver_s_estimate_is_a_limit_and_has_a_floor() -> None:
    line = Line()
    line.estimated(700_000, 1.0)
    assert line.bits_s(1.0) == 700_000
    line.estimated(5, 1.1)
    assert line.bits_s(1.1) == LEAST_BITS_S
    line.estimated(1e12, 1.2)
    assert line.bits_s(1.2) <= MOST_BITS_S


@pytest.mark.parametrize("loss", [0.03, 0.10, 0.20])
def test_loss_without_a_queue_is_chance_and_slows_nothing_down(loss: float) -> None:
    line = Line()
    assert line.bits_s(reports(line, 20, loss, 0.02)) >= START_BITS_S


def test_loss_with_a_queue_is_a_jam() -> None:
    line = Line()
    now = reports(line, 3, 0.0, 0.02)
    before = line.bits_s(now)
    assert line.bits_s(reports(line, 3, 0.15, 0.08, now)) < 0.85 * before


def test_heavy_loss_is_a_jam_whatever_the_round_trip_says() -> None:
    line = Line()
    assert line.bits_s(reports(line, 8, 0.6, None)) < 0.1 * START_BITS_S


def test_a_long_queue_alone_slows_down_and_a_new_route_is_forgiven() -> None:
    line = Line()
    now = reports(line, 2, 0.0, 0.02)
    slow = line.bits_s(now)
    now = reports(line, 5, 0.0, 0.30, now)
    assert line.bits_s(now) < 0.6 * slow
    now = reports(line, 28, 0.0, 0.30, now)  # by now it is the shortest of late
    least = line.bits_s(now)
    assert line.bits_s(reports(line, 5, 0.0, 0.30, now)) > least


def test_silence_halves_the_rate_until_something_is_heard() -> None:
    line = Line()
    line.reported(0.0, 0.02, 10.0)
    assert line.bits_s(11.9) == START_BITS_S
    assert line.bits_s(12.1) == START_BITS_S // 2
    assert line.bits_s(14.1) == START_BITS_S // 4
    assert line.bits_s(100.0) == LEAST_BITS_S
    line.reported(0.0, 0.02, 100.0)
    assert line.bits_s(100.0) >= START_BITS_S


def test_pictures_wait_for_those_before_them() -> None:
    line = Line()
    assert line.wait_s(0.0) == 0.0
    line.sent(START_BITS_S, 0.0)  # a second's worth at once
    wait_s = line.wait_s(0.0)
    assert 0.5 < wait_s < 1.0
    assert line.wait_s(wait_s) == pytest.approx(0.0, abs=1e-6)
    line.sent(int(0.5 * BACKLOG_S * START_BITS_S), 5.0)
    assert line.wait_s(5.0) == 0.0


@pytest.mark.parametrize(
    ("trip_s", "granted"),
    [
        (0.002, [0, 20, 40, 60, 80, 100, 120, 140, 160, 180]),
        (0.100, [0, 20, 60, 100, 160]),  # may be a busy machine's hiccup
        (0.300, [0, 20, 60, 100, 160]),
    ],
)
def test_a_packet_is_repeated_when_its_copy_should_have_come(trip_s: float, granted: list[int]) -> None:
    line = Line()
    line.reported(0.0, trip_s, 0.0)
    assert [ms for ms in range(0, 200, 20) if line.may_repeat(7, 1000, ms / 1000)] == granted
    assert line.may_repeat(8, 1000, 0.2)


def test_long_asked_for_it_is_repeated_once_a_round_trip() -> None:
    line = Line()
    line.reported(0.0, 0.2, 0.0)
    granted = [ms for ms in range(0, 3000, 20) if line.may_repeat(7, 1000, ms / 1000)]
    assert {after - before for before, after in pairwise(granted[8:])} <= {180, 200}


def test_repeats_do_not_fill_the_line() -> None:
    line = Line()
    line.estimated(400_000, 0.0)
    granted = sum(line.may_repeat(number, 10_000, 0.001 * number) for number in range(1000))
    assert 20 <= granted <= 42  # a burst of half a second's share, and that share of one second


def test_the_books_stay_small() -> None:
    line = Line()
    for number in range(5000):
        line.may_repeat(number % 65_536, 10, 0.1 * number)
        line.reported(0.0, 0.02 + (number % 7) / 100, 0.1 * number)
    assert len(line._repeated) <= 256
    assert len(line._shortest) < 20
