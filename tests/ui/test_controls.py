"""A schema's fields become knobs, and knobs become Gradio components."""

from typing import Annotated, Literal

import gradio as gr
import pytest
from pydantic import BaseModel, Field

from realtime.core.stage import Live
from ui.controls import Knob, knobs, make


class Config(BaseModel):
    prompt: Annotated[str, Live()] = Field("ink", max_length=80, description="What to paint.")
    strength: Annotated[float, Live()] = Field(0.5, ge=0, le=1, description="How far.")
    seed: Annotated[int, Live()] = Field(2, ge=0, le=2**32 - 1)
    size_px: int = Field(256, ge=192, le=512, multiple_of=64, description="Side of the square.")
    is_fast: bool = False
    guidance: Literal["none", "full"] = Field("none", json_schema_extra={"advanced": True})
    shade: str = Field("a", json_schema_extra={"choices": ["a", "b", "c", "d", "e"]})
    limit_hz: float | None = Field(None, ge=1, le=60)
    secret: str = Field("", json_schema_extra={"hidden": True})
    table: dict[str, int] = Field(default_factory=dict)


def by_name(**given: object) -> dict[str, Knob]:
    return {knob.name: knob for knob in knobs(Config, given)}


def test_a_knob_for_every_field_that_a_person_can_turn() -> None:
    assert list(by_name()) == [name for name in Config.model_fields if name not in ("secret", "table")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prompt", "text"),
        ("strength", "slider"),
        ("seed", "number"),
        ("size_px", "slider"),
        ("is_fast", "switch"),
        ("guidance", "choice"),
        ("shade", "choice"),
        ("limit_hz", "slider"),
    ],
)
def test_kind_follows_type_and_bounds(name: str, kind: str) -> None:
    assert by_name()[name].kind == kind


def test_bounds_step_and_choices_come_from_the_field() -> None:
    found = by_name()
    assert (found["size_px"].low, found["size_px"].high, found["size_px"].step) == (192, 512, 64)
    assert found["strength"].step == pytest.approx(0.01)
    assert found["prompt"].max_chars == 80
    assert found["guidance"].choices == ("none", "full")
    assert found["shade"].choices == ("a", "b", "c", "d", "e")
    assert found["seed"].is_whole
    assert not found["strength"].is_whole


def test_unit_in_the_name_is_shown_as_a_unit() -> None:
    found = by_name()
    assert found["size_px"].label == "Size (px)"
    assert found["limit_hz"].label == "Limit (Hz)"
    assert found["is_fast"].label == "Is fast"


def test_live_fields_act_at_once_and_the_others_say_that_they_do_not() -> None:
    found = by_name()
    assert found["strength"].is_live
    assert found["strength"].info == "How far."
    assert not found["size_px"].is_live
    assert found["size_px"].info == "Side of the square. Applies after restart."


def test_defaults_given_win_over_the_schema() -> None:
    assert by_name(strength=0.9)["strength"].default == 0.9
    assert by_name()["strength"].default == 0.5


def test_advanced_is_read() -> None:
    found = by_name()
    assert found["guidance"].is_advanced
    assert not found["strength"].is_advanced


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("prompt", gr.Textbox),
        ("strength", gr.Slider),
        ("seed", gr.Number),
        ("is_fast", gr.Checkbox),
        ("guidance", gr.Radio),
        ("shade", gr.Dropdown),
    ],
)
def test_component_carries_label_value_and_id(name: str, component: type) -> None:
    knob = by_name()[name]
    with gr.Blocks():
        made = make(knob)
    assert isinstance(made, component)
    assert made.label == knob.label
    assert made.value == knob.default
    assert made.elem_id == f"knob-{name.replace('_', '-')}"


def test_number_keeps_whole_numbers_whole() -> None:
    with gr.Blocks():
        made = make(by_name()["seed"])
    assert made.preprocess(7.0) == 7
    assert isinstance(made.preprocess(7.0), int)
