"""Controls made from a schema: a pydantic field becomes a knob, a knob becomes a Gradio component.

A field says everything itself: bounds, default, a sentence (`description`), whether it acts between two
pictures (`Live` in its annotation) and, in `json_schema_extra`, `choices` and `advanced`. A new field in the
painter's config is a new control on the page, with no line written here. `group` names the fold that an
advanced field is kept in.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import gradio as gr
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from realtime.core.stage import Live

Kind = Literal["slider", "number", "choice", "switch", "text"]

_UNITS = {"px": "px", "ms": "ms", "s": "s", "h": "h", "hz": "Hz", "mib": "MiB"}
_MAX_SLIDER_SPAN = 4096
"""An integer range wider than this (a seed) is typed, not slid."""
_MAX_SEGMENTS = 4
"""More choices than this are a dropdown."""


@dataclass(frozen=True, slots=True)
class Knob:
    """Describe one control."""

    name: str
    label: str
    says: str
    kind: Kind
    default: Any
    is_live: bool
    low: float | None = None
    high: float | None = None
    step: float = 1.0
    choices: tuple[Any, ...] = ()
    max_chars: int | None = None
    is_whole: bool = False
    is_advanced: bool = False
    group: str = ""
    """What it is kept with, behind the fold."""

    @property
    def info(self) -> str:
        """The sentence under the label."""
        return self.says if self.is_live else f"{self.says} Applies after restart.".strip()


def knobs(schema: type[BaseModel], defaults: Mapping[str, Any] | None = None) -> tuple[Knob, ...]:
    """Describe a control for each field of `schema` that a person can turn, in the order of the fields."""
    given = defaults or {}
    made = (_knob(name, field, given) for name, field in schema.model_fields.items())
    return tuple(knob for knob in made if knob is not None)


def _knob(name: str, field: FieldInfo, given: Mapping[str, Any]) -> Knob | None:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if extra.get("hidden"):
        return None
    kind_of, literals = _plain(field.annotation)
    listed = extra.get("choices")
    choices = tuple(listed) if isinstance(listed, Sequence) and not isinstance(listed, str) else literals
    low, high, step, max_chars = _bounds(field)
    kind: Kind
    if choices:
        kind = "choice"
    elif kind_of is bool:
        kind = "switch"
    elif kind_of in (int, float):
        is_slid = low is not None and high is not None and high - low <= _MAX_SLIDER_SPAN
        kind = "slider" if is_slid else "number"
    elif kind_of is str:
        kind = "text"
    else:
        return None
    default = field.get_default(call_default_factory=True, validated_data={})
    return Knob(
        name=name,
        label=field.title or _label(name),
        says=field.description or "",
        kind=kind,
        default=given.get(name, None if default is PydanticUndefined else default),
        is_live=any(isinstance(mark, Live) or mark is Live for mark in field.metadata),
        low=low,
        high=high,
        step=step or (1 if kind_of is int else 0.01),
        choices=choices,
        max_chars=max_chars,
        is_whole=kind_of is int,
        is_advanced=bool(extra.get("advanced", False)),
        group=str(extra.get("group", "")),
    )


def _plain(annotation: Any) -> tuple[type | None, tuple[Any, ...]]:
    """Return the plain type behind `X | None` and the values behind a Literal."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return _plain(inner[0]) if len(inner) == 1 else (None, ())
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
        return type(values[0]), values
    return (annotation if isinstance(annotation, type) else None), ()


def _bounds(field: FieldInfo) -> tuple[float | None, float | None, float | None, int | None]:
    low = high = step = None
    max_chars = None
    for mark in field.metadata:
        low = getattr(mark, "ge", getattr(mark, "gt", low))
        high = getattr(mark, "le", getattr(mark, "lt", high))
        step = getattr(mark, "multiple_of", step)
        max_chars = getattr(mark, "max_length", max_chars)
    return low, high, step, max_chars


def _label(name: str) -> str:
    *words, last = name.split("_")
    if words and last in _UNITS:
        return f"{' '.join(words).capitalize()} ({_UNITS[last]})"
    return " ".join([*words, last]).capitalize()


def make(knob: Knob) -> gr.components.Component:
    """Make the Gradio component of `knob`, in the open layout context."""
    common: dict[str, Any] = {
        "label": knob.label,
        "info": knob.info or None,
        "value": knob.default,
        "elem_id": f"knob-{knob.name.replace('_', '-').replace('.', '-')}",
        "elem_classes": ["vs-knob", f"vs-{knob.kind}"],
    }
    match knob.kind:
        case "slider":
            return gr.Slider(knob.low, knob.high, step=knob.step, buttons=[], **common)
        case "number":
            return gr.Number(
                minimum=knob.low, maximum=knob.high, precision=0 if knob.is_whole else None, **common
            )
        case "choice":
            pairs = [(str(choice), choice) for choice in knob.choices]
            if len(pairs) <= _MAX_SEGMENTS:
                return gr.Radio(pairs, **common)
            return gr.Dropdown(pairs, filterable=False, **common)
        case "switch":
            return gr.Checkbox(**common)
        case "text":
            return gr.Textbox(max_lines=3, max_length=knob.max_chars, **common)
