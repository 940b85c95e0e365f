"""The parts of the page that are pictures and words: masthead, live view, looks, a prompt as it was read."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any
from zlib import crc32

import gradio as gr

from .port import EngineBadge, Look, Vocabulary
from .words import Reading

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "trouble.js", "api.js", "queue.js", "pace.js", "picture_in.js", "picture_out.js", "opus.js", "wire.js",
    "rtc.js", "link.js", "gauge.js", "screen.js", "seen.js", "moving.js", "heard.js", "spoken.js", "asked.js",
    "sound.js", "live.js", "hands.js",
)  # fmt: skip
"""Joined in this order into one function: later ones use the names of earlier ones."""
STYLES = ("live.css", "console.css")

SOURCES = (("Camera", "webrtc"), ("File", "file"), ("Stream", "url"), ("Pattern", "pattern"))

CARD_SIDE_PX = 128


def asset(name: str) -> str:
    """Return the text of a file in `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


def masthead() -> gr.HTML:
    """Make the top line: the name, and the switch between light and dark."""
    return gr.HTML(
        html_template=asset("masthead.html").replace("<!-- wordmark -->", asset("wordmark.svg")),
        js_on_load=asset("masthead.js"),
        apply_default_css=False,
        elem_id="vs-masthead",
    )


def live_view(
    engine: EngineBadge,
    doing: str,
    *,
    writes: bool = False,
    hears: bool = False,
    voice: str = "",
    answers: bool = False,
) -> gr.HTML:
    """Make the live view: `doing` is what becomes of pictures ("repainted"), `writes` whether it adds words,
    `hears` whether somebody listens, `voice` the node that hears commands, if there is one, `answers` whether
    questions are answered.

    Its value is the id of the running session, "" while there is none. The value is not part of the template,
    so that a change of it does not rebuild the <video>. It triggers "submit" when a session begins, and
    "settled" when typing in the prompt has paused, and "steered" when a command was heard that changed
    something.
    """
    engine_json = json.dumps({"name": engine.name, "why": engine.why})
    facts = {
        "ENGINE": engine_json,
        "DOING": json.dumps(doing),
        "WRITES": json.dumps(writes),
        "HEARS": json.dumps(hears),
        "VOICE": json.dumps(voice),
        "ANSWERS": json.dumps(answers),
    }
    return gr.HTML(
        value="",
        html_template=asset("live.html"),
        js_on_load="\n".join([*(f"const {k} = {v};" for k, v in facts.items()), *map(asset, SCRIPTS)]),
        apply_default_css=False,
        elem_id="vs-live",
    )


def source_chooser() -> gr.Radio:
    """Make the choice between camera, file, stream and pattern."""
    return gr.Radio(
        list(SOURCES), value="webrtc", label="Source", show_label=False, elem_id="vs-source", container=False
    )


def looks_gallery(vocabulary: Vocabulary, chosen: str) -> gr.Gallery:
    """Make the film strip: one frame a look, the one in use marked."""
    return gr.Gallery(
        [(str(look.thumbnail) if look.thumbnail else card(look), look.title) for look in vocabulary.looks],
        label="Looks",
        show_label=False,
        columns=5,
        height=None,
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        container=False,
        selected_index=look_index(vocabulary, chosen),
        elem_id="vs-looks",
    )


def look_index(vocabulary: Vocabulary, look_id: str) -> int | None:
    """Return the place of a look in the film strip; None if it is not there."""
    return next((i for i, look in enumerate(vocabulary.looks) if look.id == look_id), None)


def card(look: Look) -> Any:
    """Draw a plain card for a look without a thumbnail: two tones of a hue that its id decides."""
    from PIL import Image, ImageDraw

    hue = crc32(look.id.encode()) % 360
    picture = Image.new("RGB", (CARD_SIDE_PX, CARD_SIDE_PX), f"hsl({hue}, 14%, 30%)")
    ImageDraw.Draw(picture).polygon(
        [(0, CARD_SIDE_PX), (CARD_SIDE_PX, 0), (CARD_SIDE_PX, CARD_SIDE_PX)], fill=f"hsl({hue}, 22%, 44%)"
    )
    return picture


def chips(label: str, words: list[tuple[str, str]], chosen: str, elem_id: str) -> gr.Radio:
    """Make a row of words of which one is chosen; "" stands for none."""
    return gr.Radio(words, value=chosen, label=label, elem_id=elem_id, elem_classes=["vs-chips"])


def mood_choices(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Return the colour moods as (shown, id), none first."""
    return [("as it is", ""), *((mood, mood) for mood in vocabulary.moods)]


def strength_choices(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Return the strength words as (shown, id), none first."""
    return [("plain", ""), *((word, word) for word in vocabulary.strengths)]


def reading_html(reading: Reading, vocabulary: Vocabulary) -> str:
    """Show each word of the prompt as it was understood; every word a person typed is escaped."""
    if vocabulary.is_open or not reading.spans:
        return ""
    said = {
        "look": "a look",
        "mood": "a colour mood",
        "strength": "how strongly",
        "filler": "changes nothing",
        "unknown": "not a word that the painter knows; it changes nothing",
        "bar": "blended with",
        "weight": "share of the blend",
    }
    marks = []
    for span in reading.spans:
        means = f"read as {span.means}" if span.kind == "synonym" else said[span.kind]
        extra = f" <i>{escape(span.means)}</i>" if span.kind == "synonym" else ""
        marks.append(
            f'<span class="vs-word is-{span.kind}" title="{escape(means)}">{escape(span.text)}{extra}'
            f'<span class="vs-hidden"> ({escape(means)})</span></span>'
        )
    count = len(reading.unknown)
    remark = ""
    if count:
        noun = "word is" if count == 1 else "words are"
        remark = f'<span class="vs-remark">{count} {noun} not known and will change nothing</span>'
    return f'<div class="vs-reading" aria-label="How the prompt was read">{"".join(marks)}{remark}</div>'


def vocabulary_html(vocabulary: Vocabulary) -> str:
    """List all the words, each a button that puts it into the prompt."""

    def button(word: str, kind: str) -> str:
        return f'<button type="button" data-kind="{kind}" data-word="{escape(word)}">{escape(word)}</button>'

    looks = "".join(
        f"<dt>{escape(look.title)}</dt><dd>{''.join(button(word, 'look') for word in look.words)}</dd>"
        for look in vocabulary.looks
    )
    moods = "".join(
        f"<dt>{escape(mood.capitalize())}</dt><dd>{''.join(button(word, 'mood') for word in wordings)}</dd>"
        for mood, wordings in vocabulary.moods.items()
    )
    strengths = "".join(button(word, "strength") for word in vocabulary.strengths)
    also = ", ".join(escape(wording) for wording in vocabulary.synonyms)
    return (
        f'<div class="vs-words"><h3>Looks</h3><dl>{looks}</dl><h3>Colour moods</h3><dl>{moods}</dl>'
        f"<h3>How strongly</h3><p>{strengths}</p>"
        + (f"<h3>Also read</h3><p>{also}</p>" if also else "")
        + "</div>"
    )


WORDS_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-word]');
  if (button) trigger('pick', { word: button.dataset.word, kind: button.dataset.kind });
});
"""


def vocabulary_panel(vocabulary: Vocabulary) -> gr.HTML:
    """Make the list of known words; a click on one triggers "pick" with its word and kind."""
    return gr.HTML(
        vocabulary_html(vocabulary), js_on_load=WORDS_JS, apply_default_css=False, elem_id="vs-vocabulary"
    )


def sentence_html(message: str, hint: str = "", *, is_error: bool = False) -> str:
    """Show one sentence under the prompt."""
    if not message:
        return ""
    role = "alert" if is_error else "status"
    kind = " is-error" if is_error else ""
    return f'<p class="vs-sentence{kind}" role="{role}">{escape(message)} {escape(hint)}</p>'
