"""Pauses grow, have a limit, and begin anew once it has worked."""

from __future__ import annotations

from realtime.retry import Backoff


def test_pauses_double_up_to_a_limit() -> None:
    backoff = Backoff(0.5, 10.0)
    assert [backoff.next_s() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert backoff.tries == 7
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_a_thousand_failures_are_no_overflow() -> None:
    backoff = Backoff()
    assert {backoff.next_s() for _ in range(5000)} >= {0.5, 10.0}
