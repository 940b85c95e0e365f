"""Captions are short enough to be read, keep every word, and are the files that players take."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.asr.captions import LINE_CHARS, LINES, Cue, cues_of, srt, vtt

LONG = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity."
)
WORDS = st.lists(st.text("abc.,<&", min_size=1, max_size=50), min_size=1, max_size=60).map(" ".join)


@given(WORDS, st.floats(0, 1e5), st.floats(0.1, 30))
def test_cues_keep_every_word_are_short_and_follow_on_each_other(
    text: str, begin_s: float, length_s: float
) -> None:
    cues = cues_of(text, begin_s, begin_s + length_s)
    assert " ".join(cue.text for cue in cues).split() == text.split()
    for cue in cues:
        assert cue.begin_s < cue.end_s
        lines = cue.text.split("\n")
        assert len(lines) <= LINES or len(cue.text.split()) == 1
        assert all(len(line) <= LINE_CHARS for line in lines)
    assert all(one.end_s <= after.begin_s for one, after in pairwise(cues))


def test_a_long_utterance_is_cut_behind_a_stop_and_shares_its_time_by_letters() -> None:
    cues = cues_of(LONG, 10.0, 26.0)
    assert len(cues) > 1
    assert all(cue.text[-1] in ",." for cue in cues)
    assert cues[0].begin_s == 10.0
    assert cues[-1].end_s == pytest.approx(26.0)
    rates = [len(cue.text) / (cue.end_s - cue.begin_s) for cue in cues]
    assert max(rates) < 1.2 * min(rates)


def test_the_times_of_words_are_used_where_they_are_known() -> None:
    words = [("Hello", 1.0, 1.4), ("there.", 4.0, 4.5)]
    assert cues_of("Hello there.", 0.5, 5.0, words) == [Cue(1.0, 4.5, "Hello there.")]
    assert cues_of("Hello you.", 0.5, 5.0, words)[0].begin_s == 0.5  # words of another text


def test_files_are_as_players_want_them() -> None:
    cues = [Cue(0.0, 1.5, "if a < b &\nc"), Cue(3661.25, 3662.0, "yes")]
    assert srt(cues) == (
        "1\n00:00:00,000 --> 00:00:01,500\nif a < b &\nc\n\n2\n01:01:01,250 --> 01:01:02,000\nyes\n\n"
    )
    assert vtt(cues) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nif a &lt; b &amp;\nc\n\n"
        "01:01:01.250 --> 01:01:02.000\nyes\n\n"
    )
