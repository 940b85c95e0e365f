"""Partial texts only grow, whatever the recogniser thinks of meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perception.asr.stable import StablePrefix, agreement, end_of

TEXTS = st.lists(st.lists(st.sampled_from(["a", "b", "c,", "A"]), max_size=6).map(" ".join), max_size=8)


def test_a_word_stands_once_two_texts_agree_on_it() -> None:
    stable = StablePrefix()
    assert stable.take("it") == ("", "it")
    assert stable.take("It was the best") == ("It", "was the best")
    assert stable.take("It was the bestial") == ("It was the", "bestial")
    assert stable.take("It was the best of") == ("It was the", "best of")
    assert stable.take("It was the best of times.") == ("It was the best of", "times.")


def test_what_stands_stays_when_a_later_text_has_it_otherwise() -> None:
    stable = StablePrefix()
    stable.take("every one knows")
    assert stable.take("every one knows it") == ("every one knows", "it")
    assert stable.take("everyone knows it well") == ("every one knows it", "well")
    assert stable.take("everyone knows it well now") == ("every one knows it well", "now")


def test_a_shorter_text_takes_nothing_back() -> None:
    stable = StablePrefix()
    stable.take("one two three")
    assert stable.take("one two three four") == ("one two three", "four")
    assert stable.take("one") == ("one two three", "")


@given(TEXTS)
def test_what_stands_only_grows(texts: list[str]) -> None:
    stable, before = StablePrefix(), ""
    for text in texts:
        stands, _ = stable.take(text)
        assert stands.startswith(before)
        before = stands


def test_the_end_of_a_prefix_is_found_though_words_differ() -> None:
    assert end_of(["a", "b", "c"], ["a", "b", "c", "d"]) == 3
    assert end_of(["every", "one", "knows"], ["everyone", "knows", "it"]) == 2
    assert end_of([], ["x"]) == 0
    assert agreement(["One,", "two"], ["one", "two", "three"]) == 2
