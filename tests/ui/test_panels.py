"""The page's parts: what is shown, and that nothing typed becomes markup."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.ui.studio import MODELS, vocabulary
from ui import panels
from ui.port import EngineBadge, Look, Vocabulary
from ui.words import read

WORDS = vocabulary()
NASTY = '<img src=x onerror="alert(1)">'


def test_reading_shows_each_word_with_what_it_was_taken_for() -> None:
    shown = panels.reading_html(read("slightly van gogh dragon", WORDS), WORDS)
    assert "is-strength" in shown
    assert "is-synonym" in shown
    assert "oil painting, warm" in shown
    assert "is-unknown" in shown
    assert "1 word is not known" in shown


def test_reading_counts_unknown_words() -> None:
    assert "2 words are not known" in panels.reading_html(read("dragon unicorn", WORDS), WORDS)
    assert "not known and" not in panels.reading_html(read("pencil sketch", WORDS), WORDS)


def test_reading_of_an_open_vocabulary_or_of_nothing_is_empty() -> None:
    anything = Vocabulary(is_open=True)
    assert panels.reading_html(read("a dragon", anything), anything) == ""
    assert panels.reading_html(read("", WORDS), WORDS) == ""


def test_typed_markup_is_shown_as_text() -> None:
    shown = panels.reading_html(read(NASTY, WORDS), WORDS)
    assert "<img" not in shown
    assert panels.sentence_html(NASTY, NASTY).count("<img") == 0
    words = Vocabulary(looks=(Look("x", NASTY, NASTY, words=(NASTY,)),), synonyms={NASTY: NASTY})
    assert "<img" not in panels.vocabulary_html(words)


def test_sentence_is_an_alert_only_for_errors() -> None:
    assert 'role="alert"' in panels.sentence_html("It failed.", "Try again.", is_error=True)
    assert 'role="status"' in panels.sentence_html("It works.")
    assert panels.sentence_html("") == ""


def test_all_words_are_buttons() -> None:
    shown = panels.vocabulary_html(WORDS)
    for word in ("thick brush strokes", "sepia", "strongly"):
        assert f'data-word="{word}"' in shown
    assert "van gogh" in shown


def test_look_without_thumbnail_gets_a_card_of_its_own() -> None:
    first, second = (panels.card(look) for look in WORDS.looks[:2])
    assert first.size == (panels.CARD_SIDE_PX, panels.CARD_SIDE_PX)
    assert first.tobytes() != second.tobytes()
    assert first.tobytes() == panels.card(WORDS.looks[0]).tobytes()


def test_gallery_shows_thumbnail_or_card_and_marks_the_chosen(tmp_path: Path) -> None:
    picture = tmp_path / "oil.png"
    Image.new("RGB", (8, 8), "red").save(picture)
    looks = (WORDS.looks[0], replace(WORDS.looks[1], thumbnail=picture))
    gallery = panels.looks_gallery(Vocabulary(looks=looks), "oil")
    assert gallery.selected_index == 1
    assert gallery.value is not None
    assert len(gallery.value.root if hasattr(gallery.value, "root") else gallery.value) == 2
    assert panels.look_index(WORDS, "nothing") is None


def test_chips_begin_with_none() -> None:
    assert panels.mood_choices(WORDS)[0][1] == ""
    assert [word for _, word in panels.mood_choices(WORDS)][1:] == list(WORDS.moods)
    assert [word for _, word in panels.strength_choices(WORDS)][1:] == list(WORDS.strengths)


def test_engine_is_handed_to_the_script_as_json() -> None:
    badge = EngineBadge('open"vino', "because </script>\nof that")
    first = str(panels.live_view(badge, "repainted").js_on_load).splitlines()[0]
    assert json.loads(first.removeprefix("const ENGINE = ").removesuffix(";")) == {
        "name": badge.name,
        "why": badge.why,
    }


@pytest.mark.parametrize("name", ["live.html", "masthead.html"])
def test_templates_hold_nothing_that_gradio_would_evaluate(name: str) -> None:
    text = panels.asset(name)
    assert not any(mark in text for mark in ("${", "{{", "`", "\\"))


def test_vocabulary_of_the_painter_is_read_and_each_look_reads_as_itself() -> None:
    words = Vocabulary.read(MODELS)
    assert words.looks
    assert not words.is_open
    for look in words.looks:
        assert read(look.prompt, words).look == look.id
        for wording in look.words:
            assert read(wording, words).look == look.id
    for means in words.synonyms.values():
        assert read(means, words).look
        assert read(means, words).unknown == ()


def test_missing_thumbnails_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "there.jpg").write_bytes(b"x")
    looks = [
        {"id": name, "title": name, "prompt": name, "thumbnail": f"{name}.jpg"} for name in ("there", "gone")
    ]
    (tmp_path / "vitascope.json").write_text(json.dumps({"looks": looks}), encoding="utf-8")
    there, gone = Vocabulary.read(tmp_path).looks
    assert there.thumbnail == tmp_path / "there.jpg"
    assert gone.thumbnail is None
