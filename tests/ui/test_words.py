"""A prompt is read word by word, and a click edits one word group of it."""

import pytest

from tests.ui.studio import vocabulary
from ui.port import Vocabulary
from ui.words import MAX_READ_CHARS, read, with_look, with_mood, with_strength

WORDS = vocabulary()


def kinds(prompt: str) -> list[tuple[str, str]]:
    return [(span.text, span.kind) for span in read(prompt, WORDS).spans]


def test_every_word_is_judged() -> None:
    assert kinds("a slightly warm Oil Painting of dragons") == [
        ("a", "filler"),
        ("slightly", "strength"),
        ("warm", "mood"),
        ("Oil Painting", "look"),
        ("of", "filler"),
        ("dragons", "unknown"),
    ]


def test_what_was_read_is_named_by_id() -> None:
    seen = read("strongly pencil, sepia", WORDS)
    assert (seen.look, seen.mood, seen.strength) == ("pencil", "warm", "strongly")
    assert seen.unknown == ()


def test_longest_wording_wins() -> None:
    assert kinds("thick brush strokes") == [("thick brush strokes", "look")]
    assert kinds("brush") == [("brush", "synonym")]
    assert read("thick brush strokes", WORDS).look == "oil"


def test_longer_look_decides_and_the_later_one_when_equal() -> None:
    assert read("neon, oil painting", WORDS).look == "oil"
    assert read("neon lines and pencil sketch", WORDS).look == "pencil"
    assert read("warm cool", Vocabulary(moods={"warm": ("warm",), "cool": ("cool",)})).mood == "cool"


def test_synonym_fills_in_what_was_not_said() -> None:
    seen = read("van gogh", WORDS)
    assert (seen.look, seen.mood) == ("oil", "warm")
    said = read("van gogh, cool, pencil", WORDS)
    assert (said.look, said.mood) == ("pencil", "cool")
    assert read("Van Gogh", WORDS).spans[0].means == "oil painting, warm"


def test_unknown_words_are_listed_in_order() -> None:
    assert read("dragon, neon, unicorns", WORDS).unknown == ("dragon", "unicorns")


@pytest.mark.parametrize("prompt", ["", "   ", ",,,", "\U0001f600", "\n\t"])
def test_prompt_without_words_has_no_spans(prompt: str) -> None:
    assert read(prompt, WORDS).spans == ()


def test_words_of_any_script_and_with_apostrophes_stay_whole() -> None:
    assert kinds("картина dragon's tail-end") == [
        ("картина", "unknown"),
        ("dragon's", "unknown"),
        ("tail-end", "unknown"),
    ]


def test_spans_point_into_the_prompt() -> None:
    prompt = "  a  strongly,van gogh  "
    for span in read(prompt, WORDS).spans:
        assert prompt[span.start : span.stop] == span.text


def test_very_long_prompt_is_read_up_to_a_limit() -> None:
    seen = read("dragon " * 10_000, WORDS)
    assert seen.spans[-1].stop <= MAX_READ_CHARS


@pytest.mark.parametrize(
    ("prompt", "look", "after"),
    [
        ("pencil sketch", "oil", "oil painting"),
        ("slightly pencil, warm", "neon", "slightly neon lines, warm"),
        ("pencil, neon lines, dragons", "oil", "oil painting, dragons"),
        ("dragons", "oil", "oil painting"),
        ("", "oil", "oil painting"),
        ("van gogh", "neon", "neon lines, warm"),
    ],
)
def test_choosing_a_look_keeps_mood_and_strength(prompt: str, look: str, after: str) -> None:
    assert with_look(prompt, look, WORDS) == after
    assert read(after, WORDS).look == look


@pytest.mark.parametrize(
    ("prompt", "mood", "after"),
    [
        ("pencil sketch", "cool", "pencil sketch, cool"),
        ("pencil sketch, sepia", "cool", "pencil sketch, cool"),
        ("pencil sketch, sepia", "", "pencil sketch"),
        ("pencil sketch", "", "pencil sketch"),
    ],
)
def test_choosing_a_mood(prompt: str, mood: str, after: str) -> None:
    assert with_mood(prompt, mood, WORDS) == after


@pytest.mark.parametrize(
    ("prompt", "word", "after"),
    [
        ("pencil sketch", "slightly", "slightly pencil sketch"),
        ("slightly pencil sketch", "strongly", "strongly pencil sketch"),
        ("slightly pencil sketch", "", "pencil sketch"),
    ],
)
def test_choosing_a_strength(prompt: str, word: str, after: str) -> None:
    assert with_strength(prompt, word, WORDS) == after


def test_a_choice_made_twice_changes_nothing_more() -> None:
    once = with_mood(with_look("pencil", "oil", WORDS), "dark", WORDS)
    assert with_mood(with_look(once, "oil", WORDS), "dark", WORDS) == once


BLEND = "slightly oil painting, warm:0.3 | pencil sketch:0.7 | dragons"


def test_each_part_of_a_blend_is_read_alone() -> None:
    assert kinds(BLEND) == [
        ("slightly", "strength"),
        ("oil painting", "look"),
        ("warm", "mood"),
        ("0.3", "weight"),
        ("|", "bar"),
        ("pencil sketch", "look"),
        ("0.7", "weight"),
        ("|", "bar"),
        ("dragons", "unknown"),
    ]
    assert [span.text for span in read("oil | painting", WORDS).spans] == ["oil", "|", "painting"]  # no look
    assert read("pencil | dragons", WORDS).unknown == ("dragons",)
    for span in read(BLEND, WORDS).spans:
        assert span.text in BLEND[span.start : span.stop]


def test_the_heaviest_part_of_a_blend_is_what_the_chips_show() -> None:
    assert read("oil painting, warm:0.3 | pencil sketch:0.7", WORDS).look == "pencil"
    assert read("oil painting, warm:0.3 | pencil sketch:0.7", WORDS).mood == ""
    assert read("van gogh | pencil sketch:0.2", WORDS).mood == "warm"
    assert read("oil painting | pencil sketch", WORDS).look == "oil"  # the first one if equal
    assert read("pencil:2", WORDS).unknown == ("2",)  # without a bar a number is a word


def test_a_click_edits_the_heaviest_part_and_keeps_the_others_with_their_weights() -> None:
    blend = "oil painting, warm:0.3 | slightly pencil sketch:0.7"
    assert with_look(blend, "neon", WORDS) == "oil painting, warm:0.3 | slightly neon lines:0.7"
    assert with_mood(blend, "cool", WORDS) == "oil painting, warm:0.3 | slightly pencil sketch, cool:0.7"
    assert with_strength(blend, "", WORDS) == "oil painting, warm:0.3 | pencil sketch:0.7"
    assert with_mood(blend, "cool", WORDS, "cool blue").endswith("pencil sketch, cool blue:0.7")
    assert with_look("dragons|neon", "oil", WORDS, "thick brush strokes") == "thick brush strokes | neon"


@pytest.mark.parametrize("prompt", ["|", "a |", "| b", " | | ", "a:|b:2", "a:-1|b", "a:" + "9" * 400 + "|b"])
def test_whatever_is_typed_on_the_way_to_a_blend_is_read(prompt: str) -> None:
    assert all(span.text.strip() for span in read(prompt, WORDS).spans)
    for look in ("oil", "neon"):
        assert read(with_look(prompt, look, WORDS), WORDS).look == look
