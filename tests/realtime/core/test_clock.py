"""Clocks and ticks: tests own the time, and conversion loses at most half a tick."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.clock import NS_PER_S, ManualClock, MonotonicClock, ns_to_ticks, ticks_to_ns
from tests.vocabulary import timeless

time_bases = st.sampled_from(
    [Fraction(1, 90_000), Fraction(1, 16_000), Fraction(1001, 30_000), Fraction(1, 25)]
)


def test_the_manual_clock_moves_when_told() -> None:
    clock = ManualClock(5)
    clock.advance(ms=1.5)
    clock.advance(ns=7)
    assert clock.now_ns() == 1_500_012
    with pytest.raises(ValueError, match="-1000000 ns"):
        clock.advance(ms=-1)
    assert clock.now_ns() == 1_500_012


def test_the_monotonic_clock_is_the_machine_s() -> None:
    before = time.monotonic_ns()
    now_ns = MonotonicClock().now_ns()
    assert before <= now_ns <= time.monotonic_ns()


@timeless
@given(st.integers(-(10**9), 10**9), time_bases)
def test_ticks_survive_the_way_to_nanoseconds_and_back(ticks: int, time_base: Fraction) -> None:
    assert ns_to_ticks(ticks_to_ns(ticks, time_base), time_base) == ticks


@timeless
@given(st.integers(0, 10**15), time_bases)
def test_nanoseconds_are_off_by_half_a_tick_at_most(ns: int, time_base: Fraction) -> None:
    back_ns = ticks_to_ns(ns_to_ticks(ns, time_base), time_base)
    assert abs(back_ns - ns) <= time_base * NS_PER_S / 2 + 1


def test_literal_ticks() -> None:
    assert ticks_to_ns(3000, Fraction(1, 90_000)) == 33_333_333
    assert ns_to_ticks(33_333_333, Fraction(1, 90_000)) == 3000
