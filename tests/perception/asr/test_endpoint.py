"""Utterances begin, pause, go on and end where they should, told by a machine that knows no sound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.asr.endpoint import WINDOWS_PER_S, Endpointer, EndRules, Mark
from perception.asr.transcript import Turn


def marks_of(script: str, rules: EndRules = EndRules()) -> list[tuple[int, Mark]]:  # noqa: B008
    """Run a script: S speech, s less sure speech, . silence, each one window; return (window, mark)."""
    ends = Endpointer(rules)
    sure, loud = {"S": 0.9, "s": 0.4, ".": 0.05}, {"S": -20.0, "s": -25.0, ".": -70.0}
    return [(at, mark) for at, one in enumerate(script) for mark in ends.take(sure[one], loud[one])]


def turns(script: str, rules: EndRules = EndRules()) -> list[Turn]:  # noqa: B008
    return [mark.turn for _, mark in marks_of(script, rules)]


def windows(seconds: float) -> int:
    return round(seconds * WINDOWS_PER_S)


def pause(seconds: float) -> str:
    return "." * windows(seconds)


def speech(seconds: float) -> str:
    return "S" * windows(seconds)


def test_an_utterance_begins_before_its_first_sure_window_and_ends_after_its_last() -> None:
    (seen, start), (_, eager), (_, end) = marks_of(pause(1) + speech(1) + pause(1))
    assert (start.turn, eager.turn, end.turn) == (Turn.START, Turn.EAGER_END, Turn.END)
    assert seen == windows(1) + 1
    assert start.window == windows(1) - windows(0.4)
    assert end.window == windows(1) + windows(1) + windows(0.2)


@pytest.mark.parametrize(
    ("gap_s", "says"),
    [
        (0.2, "start eager_end end"),
        (0.5, "start eager_end resumed eager_end end"),
        (1.2, "start eager_end end start eager_end end"),
    ],
)
def test_a_pause_is_an_end_by_its_length(gap_s: float, says: str) -> None:
    assert " ".join(turns(speech(1) + pause(gap_s) + speech(1) + pause(2))) == says


def test_a_click_begins_nothing_and_unsure_speech_holds_on_to_an_utterance() -> None:
    assert turns(pause(1) + "S" + pause(2)) == []
    assert turns("s" * windows(3)) == []
    assert turns(speech(1) + "s" * windows(2)) == [Turn.START]


def test_speech_after_an_end_begins_no_earlier_than_that_end() -> None:
    found = [mark for _, mark in marks_of(speech(1) + pause(0.83) + speech(1) + pause(1))]
    end, start = found[2], found[3]
    assert (end.turn, start.turn) == (Turn.END, Turn.START)
    assert start.window >= end.window


def test_speech_without_a_pause_is_cut_where_it_is_quiet_and_nothing_of_it_is_lost() -> None:
    rules = EndRules(max_s=10, search_s=4)
    ends, marks = Endpointer(rules), []
    early, dip = windows(4.5), windows(7.5)  # it is sought from 6 s to 10 s
    for at in range(windows(25)):
        level_db = -40.0 if early <= at < early + 4 else -38.0 if dip <= at < dip + 4 else -20.0 + at % 3
        marks += [(at, mark) for mark in ends.take(0.9, level_db)]
    assert [mark.turn for _, mark in marks[:3]] == [Turn.START, Turn.END, Turn.START]
    cut, again = marks[1][1], marks[2][1]
    assert cut.is_cut
    assert dip < cut.window <= dip + 4
    assert again.window == cut.window
    lengths = [b[1].window - a[1].window for a, b in zip(marks[::2], marks[1::2], strict=False)]
    assert max(lengths) <= windows(10)
    assert ends.end()[0].turn is Turn.END
    assert ends.end() == ()


@given(st.text("Ss.", max_size=400))
@settings(max_examples=60, deadline=None)
def test_turns_come_in_order_and_utterances_never_overlap(script: str) -> None:
    rules = EndRules(max_s=4, search_s=1)
    allowed = {
        None: {Turn.START},
        Turn.START: {Turn.EAGER_END, Turn.END},
        Turn.EAGER_END: {Turn.RESUMED, Turn.END},
        Turn.RESUMED: {Turn.EAGER_END, Turn.END},
        Turn.END: {Turn.START},
    }
    before, edge = None, 0
    for at, mark in marks_of(script, rules):
        assert mark.turn in allowed[before]
        before = mark.turn
        if mark.turn in (Turn.START, Turn.END):
            assert edge <= mark.window <= at + 1
            edge = mark.window
