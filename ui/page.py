"""The page: masthead, live view, and the controls that steer it. Wiring only; the parts come from panels.py.

Every control's event takes the live view as an input, whose value is the session's id, and calls the port
with it. What a person sets is also remembered in the browser (`window.vitascope`), so that it is sent along
when a session starts. Events skip Gradio's queue: a knob acts on the next picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from realtime.core.errors import VitascopeError

from . import panels
from .controls import Knob, knobs, make
from .port import Fold, StudioPort
from .theme import theme
from .words import read, with_look, with_mood, with_strength

if TYPE_CHECKING:
    from fastapi import FastAPI

TITLE = "vitascope"
MAIN_KNOBS = ("strength", "steps", "seed", "size_px")
"""Shown at once, in this order, if the schema has them; all others are under "More"."""

_DIRECT: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_DICE_JS = "() => Math.floor(Math.random() * 1000000)"


def mount(app: FastAPI, port: StudioPort, path: str = "/") -> FastAPI:
    """Mount the page on `app` with its theme, style sheet and icon. Own routes must be added before."""
    vocabulary = port.vocabulary()
    folders = {str(look.thumbnail.parent) for look in vocabulary.looks if look.thumbnail}
    page = build(port)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path=path,
        theme=theme(),
        css="\n".join(map(panels.asset, panels.STYLES)),
        footer_links=[],
        favicon_path=str(panels.ASSETS / "icon.svg") if path == "/" else None,
        allowed_paths=sorted(folders),
        ssr_mode=False,
        run_history=False,
    )
    _let_rest(page)
    return mounted


def _let_rest(page: gr.Blocks) -> None:
    """Let Gradio's queue look for work twice a second: nothing here uses it, and it looks 1000 times.

    That costs 6 % of a core (Xeon, 2 shared cores) for as long as the server stands.
    """
    queue = page._queue
    for interval in ("sleep_when_free", "progress_update_sleep_when_free"):
        if hasattr(queue, interval):
            setattr(queue, interval, 0.5)


def build(port: StudioPort) -> gr.Blocks:
    """Build the page for `port`. `mount` adds what Gradio takes only when mounting: theme and style sheet."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        panels.masthead()
        with gr.Row(elem_id="vs-shell"):
            with gr.Column(elem_id="vs-stage"):
                source = panels.source_chooser()
                doing = "repainted" if "prompt" in port.schema().model_fields else "watched"
                live = panels.live_view(
                    port.engine(),
                    doing,
                    writes=port.writes(),
                    hears=port.hears(),
                    voice=voice_node(port),
                    answers=port.answers(),
                )
            with gr.Column(elem_id="vs-console"):
                _Console(port, live)
        source.change(None, source, js="(kind) => window.vitascope?.choose(kind)", **_DIRECT)
    return page


def voice_node(port: StudioPort) -> str:
    """Return the node that hears commands; "" where there is none."""
    return next((fold.node for fold in port.folds() if "talk" in fold.schema.model_fields), "")


class _Console:
    """Lay out the controls and wire them to the port."""

    def __init__(self, port: StudioPort, live: gr.HTML) -> None:
        self._port = port
        self._live = live
        self._vocabulary = port.vocabulary()
        described = {knob.name: knob for knob in knobs(port.schema(), port.defaults())}
        prompt = described.pop("prompt", None)
        if prompt is not None:
            self._lay_out_prompt(prompt)
        else:  # what runs takes no words
            self._said = gr.HTML("", apply_default_css=False, elem_id="vs-said")
        self._components: dict[str, gr.components.Component] = {}
        self._knobs: dict[str, Knob] = described
        at_once = [described[name] for name in MAIN_KNOBS if name in described]
        rest = [knob for knob in described.values() if knob not in at_once]
        with gr.Group(elem_id="vs-knobs"):
            for knob in at_once:
                self._lay_out_knob(knob)
        if rest:
            is_all_there_is = not at_once and prompt is None
            title = "Settings" if is_all_there_is else "More settings"
            with gr.Accordion(title, open=is_all_there_is, elem_id="vs-more"):
                self._lay_out_groups(rest)
        for fold in port.folds():
            self._lay_out_fold(fold)
        if prompt is not None and not self._vocabulary.is_open:
            with gr.Accordion("Words it knows", open=False, elem_id="vs-known"):
                words = panels.vocabulary_panel(self._vocabulary)
                words.pick(self._pick_word, [live, self._prompt], self._views, **_DIRECT)
        typed = []
        if prompt is not None:
            self._wire_prompt()
            typed.append(self._prompt)
        shown = [] if prompt is None else self._views
        live.steered(self._follow, None, [*shown, *self._components.values()], **_DIRECT)
        live.submit(self._begin, [live, *self._components.values(), *typed], self._said, **_DIRECT)

    def _lay_out_prompt(self, knob: Knob) -> None:
        vocabulary = self._vocabulary
        text = str(knob.default or "")
        seen = read(text, vocabulary)
        self._prompt = gr.Textbox(
            text,
            label="Paint it as",
            placeholder="watercolor painting, warm",
            lines=1,
            max_lines=4,
            max_length=knob.max_chars,
            elem_id="vs-prompt",
        )
        with gr.Column(elem_id="vs-read"):
            self._reading = gr.HTML(panels.reading_html(seen, vocabulary), apply_default_css=False)
            self._said = gr.HTML("", apply_default_css=False, elem_id="vs-said")
        has_looks = bool(vocabulary.looks)
        has_words = not vocabulary.is_open
        with gr.Column(visible=has_looks, elem_id="vs-strip"):
            self._gallery = panels.looks_gallery(vocabulary, seen.look)
        with gr.Column(visible=has_words, elem_id="vs-moods"):
            self._mood = panels.chips("Colour", panels.mood_choices(vocabulary), seen.mood, "vs-mood")
            self._word = panels.chips(
                "How strongly", panels.strength_choices(vocabulary), seen.strength, "vs-amount"
            )

    @property
    def _views(self) -> list[gr.components.Component]:
        """What shows the prompt; `_show` returns a value for each."""
        return [self._prompt, self._reading, self._said, self._gallery, self._mood, self._word]

    def _wire_prompt(self) -> None:
        live, prompt = self._live, self._prompt
        remember = "(text) => window.vitascope?.remember('prompt', text, true)"
        prompt.change(None, prompt, js=remember, **_DIRECT)
        for typed in (prompt.submit, live.settled):
            typed(self._type, [live, prompt], self._views[1:], trigger_mode="always_last", **_DIRECT)
        self._gallery.select(self._pick_look, [live, prompt], self._views, **_DIRECT)
        self._mood.input(self._edit(with_mood), [live, prompt, self._mood], self._views, **_DIRECT)
        self._word.input(self._edit(with_strength), [live, prompt, self._word], self._views, **_DIRECT)

    def _lay_out_groups(self, rest: Sequence[Knob]) -> None:
        """Lay out knobs without a group, then a fold for each group, in the order of their first."""
        for knob in rest:
            if not knob.group:
                self._lay_out_knob(knob)
        for group in dict.fromkeys(knob.group for knob in rest if knob.group):
            fold = group.lower().replace(" ", "-")
            with gr.Accordion(group, open=False, elem_id=f"vs-group-{fold}", elem_classes=["vs-group"]):
                for knob in rest:
                    if knob.group == group:
                        self._lay_out_knob(knob)

    def _lay_out_fold(self, fold: Fold) -> None:
        """Lay out the settings of another node; their names begin with the node's."""
        described = [
            replace(knob, name=f"{fold.node}.{knob.name}") for knob in knobs(fold.schema, fold.defaults)
        ]
        if not described:
            return
        self._knobs |= {knob.name: knob for knob in described}
        with gr.Accordion(fold.title, open=False, elem_id=f"vs-fold-{fold.node}", elem_classes=["vs-group"]):
            self._lay_out_groups(described)

    def _lay_out_knob(self, knob: Knob) -> None:
        if knob.name == "seed":
            with gr.Row(elem_id="vs-seed"):
                component = make(knob)
                dice = gr.Button("Roll", elem_id="vs-dice", size="sm", min_width=64)
            dice.click(None, None, component, js=_DICE_JS, **_DIRECT)
        else:
            component = make(knob)
        self._components[knob.name] = component
        is_live = "true" if knob.is_live else "false"
        remember = f"(value) => window.vitascope?.remember('{knob.name}', value, {is_live})"
        component.change(None, component, js=remember, **_DIRECT)
        if knob.is_live:
            # A roll of the dice is no input of the person's, so the seed listens to every change.
            event = component.change if knob.name == "seed" else component.input
            event(
                self._turn(knob.name),
                [self._live, component],
                self._said,
                trigger_mode="always_last",
                **_DIRECT,
            )

    # What the events do.

    def _begin(self, session_id: str, *values: Any) -> str:
        """Send what was changed while the session was being made; the prompt, if there is one, comes last."""
        settings = {
            name: value
            for name, value in zip([*self._components, "prompt"], values, strict=False)
            if (name == "prompt" or self._knobs[name].is_live) and value is not None
        }
        return self._apply(session_id, settings)

    def _type(self, session_id: str, prompt: str) -> list[Any]:
        return self._show(session_id, prompt)[1:]

    def _pick_look(self, session_id: str, prompt: str, event: gr.SelectData) -> list[Any]:
        look = self._vocabulary.looks[int(event.index)]
        return self._show(session_id, with_look(prompt, look.id, self._vocabulary))

    def _pick_word(self, session_id: str, prompt: str, event: gr.EventData) -> list[Any]:
        word, kind = str(event.word), str(event.kind)
        seen = read(word, self._vocabulary)
        if kind == "look" and seen.look:
            return self._show(session_id, with_look(prompt, seen.look, self._vocabulary, word))
        if kind == "mood" and seen.mood:
            return self._show(session_id, with_mood(prompt, seen.mood, self._vocabulary, word))
        return self._show(session_id, with_strength(prompt, word, self._vocabulary))

    def _edit(self, change: Callable[..., str]) -> Callable[..., list[Any]]:
        def edited(session_id: str, prompt: str, chosen: str) -> list[Any]:
            return self._show(session_id, change(prompt, chosen, self._vocabulary))

        return edited

    def _turn(self, name: str) -> Callable[[str, Any], str]:
        def turned(session_id: str, value: Any) -> str:
            return self._apply(session_id, {name: value}) if value is not None else ""

        return turned

    def _follow(self, event: gr.EventData) -> list[Any]:
        """Show what was changed by voice; it is set already, so nothing is applied."""
        changes: Mapping[str, Any] = event.changes
        rest = [
            gr.update(value=changes[name]) if name in changes else gr.update() for name in self._components
        ]
        if not hasattr(self, "_prompt"):
            return rest
        if "prompt" not in changes:
            return [*(gr.update() for _ in self._views), *rest]
        return [*self._show("", str(changes["prompt"])), *rest]

    def _show(self, session_id: str, prompt: str) -> list[Any]:
        """Apply `prompt` and return a value for each of `_views`."""
        seen = read(prompt, self._vocabulary)
        return [
            prompt,
            panels.reading_html(seen, self._vocabulary),
            self._apply(session_id, {"prompt": prompt}),
            gr.Gallery(selected_index=panels.look_index(self._vocabulary, seen.look)),
            seen.mood,
            seen.strength,
        ]

    def _apply(self, session_id: str, settings: Mapping[str, Any]) -> str:
        """Hand settings to the session, if one runs, and return the sentence to show."""
        if not session_id:
            return ""
        try:
            self._port.configure(session_id, settings)
        except VitascopeError as error:
            return panels.sentence_html(error.message, error.hint, is_error=True)
        return ""
