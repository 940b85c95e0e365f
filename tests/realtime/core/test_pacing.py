"""Pacing: literal clocks for the rules, and properties for what must never happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.pacing import FREEZE_NS, LATE_NS, Metronome, Playback, Turn
from tests.vocabulary import timeless

STEP_NS = 40 * NS_PER_MS


def test_a_metronome_in_time_does_not_drift() -> None:
    metronome = Metronome(30, now_ns=7)
    for beat in range(300):
        assert abs(metronome.due_ns - 7 - round(beat * NS_PER_S / 30)) <= 1
        metronome.beat(metronome.due_ns)


def test_a_late_beat_moves_those_behind_it() -> None:
    metronome = Metronome(10, now_ns=0)
    metronome.beat(0)
    assert metronome.due_ns == 100 * NS_PER_MS
    metronome.beat(350 * NS_PER_MS)
    assert metronome.due_ns == 450 * NS_PER_MS


@timeless
@given(st.floats(1, 240), st.lists(st.integers(0, 2 * NS_PER_S), max_size=50))
def test_beats_are_never_closer_than_the_interval(rate_hz: float, delays_ns: list[int]) -> None:
    metronome = Metronome(rate_hz, now_ns=0)
    before = None
    for delay_ns in delays_ns:
        now_ns = metronome.due_ns + delay_ns
        assert before is None or now_ns - before >= NS_PER_S / rate_hz - 1
        metronome.beat(now_ns)
        before = now_ns


@pytest.mark.parametrize("rate_hz", [0, -1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError):
        Metronome(rate_hz, 0)


def playing(now_ns: int = 5 * NS_PER_S, media_ns: int = 200 * NS_PER_MS) -> Playback:
    """A recording whose first sample, at `media_ns`, was given at `now_ns`."""
    playback = Playback()
    assert playback.turn(media_ns, STEP_NS, now_ns) == Turn(now_ns, 0.0)
    playback.given(now_ns)
    return playback


@pytest.mark.parametrize(
    ("late_ms", "skip", "restarted"),
    [(-30, False, False), (0, False, False), (80, False, False), (81, True, False), (1001, False, True)],
)
def test_what_is_done_with_a_late_picture(late_ms: int, skip: bool, restarted: bool) -> None:
    playback = playing()
    due_ns = 5 * NS_PER_S + 800 * NS_PER_MS
    now_ns = due_ns + late_ms * NS_PER_MS
    playback.given(now_ns - 100 * NS_PER_MS)
    turn = playback.turn(1000 * NS_PER_MS, STEP_NS, now_ns)
    assert turn == Turn(now_ns if restarted else due_ns, max(0, late_ms), skip, restarted)
    assert playback.due_ns(1000 * NS_PER_MS) == turn.due_ns


def test_a_slow_machine_still_shows_a_picture_now_and_then() -> None:
    playback = playing()
    now_ns = 5 * NS_PER_S + 500 * NS_PER_MS
    late = playback.turn(300 * NS_PER_MS, STEP_NS, now_ns)
    assert late.late_ms == 400
    assert not late.skip  # none was given for 500 ms
    playback.given(now_ns)
    assert playback.turn(340 * NS_PER_MS, STEP_NS, now_ns).skip


def test_a_recording_has_no_schedule_before_its_first_picture() -> None:
    with pytest.raises(ValueError):
        Playback().due_ns(0)


@timeless
@given(st.lists(st.integers(0, 1500 * NS_PER_MS), max_size=60))
def test_playback_never_waits_longer_than_the_recording_nor_freezes(costs_ns: list[int]) -> None:
    """Whatever each picture costs: no wait beyond a step, no lateness beyond the limit, no long freeze."""
    playback, now_ns, media_ns, given_ns = Playback(), 0, 0, 0
    for cost_ns in costs_ns:
        turn = playback.turn(media_ns, STEP_NS, now_ns)
        assert turn.due_ns - now_ns <= STEP_NS
        assert now_ns - turn.due_ns <= LATE_NS
        assert not (turn.skip and turn.restarted)
        if turn.skip:
            assert now_ns - given_ns < FREEZE_NS
        else:
            now_ns = max(now_ns, turn.due_ns)
            playback.given(now_ns)
            given_ns = now_ns
            now_ns += cost_ns
        media_ns += STEP_NS
