"""What can be steered by voice: settings that act between two samples, and the words that a painter knows.

The application makes a `Book` of its graph; the grammar is made of the book. What takes free text, or names
files and models of the machine, never gets into it.
"""

from __future__ import annotations

import re
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from realtime.core.stage import Live

SHIFTED_MOST = 65536
"""A whole number with a wider range (a seed) is set or stepped, not made "more"."""
_UNITS = frozenset(("px", "ms", "s", "hz"))


@dataclass(frozen=True, slots=True)
class Field:
    """Describe one setting that can be said."""

    name: str
    """As in a session's settings: "strength", "overlay.boxes"."""
    called: tuple[str, ...]
    """Ways to say its name, the usual one first."""
    kind: Literal["number", "switch", "choice"]
    low: float = 0.0
    high: float = 1.0
    is_whole: bool = False
    multiple_of: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def has_range(self) -> bool:
        """Whether "more" of it means something."""
        return self.kind == "number" and self.high - self.low < SHIFTED_MOST


@dataclass(frozen=True, slots=True)
class Wording:
    """Hold a wording and what it means to the painter; None leaves look or mood as it is."""

    text: str
    look: str | None = None
    mood: str | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """Hold all that can be said of one graph."""

    fields: tuple[Field, ...] = ()
    looks: tuple[Wording, ...] = ()
    """What "make it a ..." takes."""
    moods: tuple[Wording, ...] = ()
    """What "make it ..." takes, and what may follow a look: "a watercolour in warm colours"."""
    scenes: tuple[Wording, ...] = ()
    """What follows a look without "in": "at night"."""
    strengths: tuple[str, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def fields_of(schema: type[BaseModel], node: str = "", *, without: Collection[str] = ()) -> tuple[Field, ...]:
    """Return the settings of a node that can be said; `node` is "" for the graph's main node."""
    found = (_field(name, one, node) for name, one in schema.model_fields.items() if name not in without)
    return tuple(one for one in found if one is not None)


def told_apart(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Return the fields without names that two of them share; each keeps the one that begins with a node."""
    counts: dict[str, int] = {}
    for one in fields:
        for called in one.called:
            counts[called] = counts.get(called, 0) + 1
    kept = []
    for one in fields:
        own = tuple(called for called in one.called if counts[called] == 1)
        if own:
            kept.append(_called(one, own))
    return tuple(kept)


def _called(one: Field, names: tuple[str, ...]) -> Field:
    return Field(one.name, names, one.kind, one.low, one.high, one.is_whole, one.multiple_of, one.choices)


def _field(name: str, described: FieldInfo, node: str) -> Field | None:
    if not any(mark is Live or isinstance(mark, Live) for mark in described.metadata):
        return None
    key = f"{node}.{name}" if node else name
    called = _names(name, described, node)
    kind = _plain(described.annotation)
    if isinstance(kind, tuple):
        texts = tuple(one for one in kind if isinstance(one, str))
        return Field(key, called, "choice", choices=texts) if len(texts) == len(kind) else None
    if kind is bool:
        return Field(key, called, "switch")
    if kind not in (int, float):
        return None
    low = high = step = None
    for mark in described.metadata:
        low = getattr(mark, "ge", getattr(mark, "gt", low))
        high = getattr(mark, "le", getattr(mark, "lt", high))
        step = getattr(mark, "multiple_of", step)
    if low is None or high is None or low < 0:
        return None
    return Field(key, called, "number", float(low), float(high), kind is int, step)


def _names(name: str, described: FieldInfo, node: str) -> tuple[str, ...]:
    words = name.split("_")
    if len(words) > 1 and words[-1] in _UNITS:
        words = words[:-1]
    plain = " ".join(words)
    title = re.sub(r"\(.*?\)", "", described.title or "").strip().lower()
    names = [title if title and " the " not in title else plain]
    if node:
        begin = node.replace("_", " ").replace("-", " ")
        names = [*(f"{begin} {one}" for one in names), *names]
    return tuple(dict.fromkeys(names))


def _plain(annotation: Any) -> Any:
    """Return the plain type behind `X | None`, or the values behind a Literal."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return _plain(inner[0]) if len(inner) == 1 else None
    return get_args(annotation) if get_origin(annotation) is Literal else annotation
