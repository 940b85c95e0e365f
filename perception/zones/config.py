"""Zones, lines and what to tell of, as a person types them: JSON, or a short text.

    door: 0.1,0.2 0.5,0.2 0.5,0.9 0.1,0.9 for person; yard: 0.6,0.1 0.9,0.1 0.8,0.5
    gate: 0.5,0 0.5,1

Each is a name, its points as shares of the picture seen (x,y from the left upper corner), and after "for" the
kinds of things that count; without it, all do. The settings are texts, so that the page has a control for
them; lists of objects (TOML, JSON bodies) are taken too, and become texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from perception.kinds import MAX_CHARS as MAX_KINDS_CHARS
from realtime.core.errors import ConfigError
from realtime.core.stage import Live

from .geometry import area, crossed_sides

MAX_ZONES = 16
MAX_POINTS = 32
MAX_TEXT_CHARS = 16_000
LEAST_AREA = 0.0004
"""Of the picture: a square of 2 % of its sides."""
LEAST_LENGTH = 0.02
GROUP: dict[str, Any] = {"advanced": True, "group": "Zones"}
_ENTRY = re.compile(r"(?P<name>[^:]+):(?P<points>[-+\d.eE,\s]+?)(?:\bfor\b(?P<kinds>.+))?", re.S)

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Point = tuple[Share, Share]
Name = Annotated[str, Field(min_length=1, max_length=40)]


class Zone(BaseModel):
    """Be an area that things come into and go out of."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: Name
    points: tuple[Point, ...] = Field(min_length=3, max_length=MAX_POINTS)
    """Corners in their order around it."""
    kinds: tuple[Name, ...] = ()


class Line(BaseModel):
    """Be a line that things cross."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)

    name: Name
    begin: Point = Field(alias="from")
    end: Point = Field(alias="to")
    kinds: tuple[Name, ...] = ()


M = TypeVar("M", Zone, Line)


@lru_cache(64)
def zones_of(text: str) -> tuple[Zone, ...]:
    """Return the zones that a text names. Raises ConfigError for a text or an area that cannot be."""
    found = _read(text, Zone, lambda points: {"points": points})
    for zone in found:
        corners = np.array(zone.points)
        if area(corners) < LEAST_AREA and crossed_sides(corners) is None:
            raise ConfigError(f'Zone "{zone.name}" holds next to nothing.', hint="Move its corners apart.")
        if sides := crossed_sides(corners):
            raise ConfigError(
                f'Zone "{zone.name}" crosses itself: its sides {sides[0]} and {sides[1]} meet.',
                hint="Give its corners in their order around it.",
            )
    return found


@lru_cache(64)
def lines_of(text: str) -> tuple[Line, ...]:
    """Return the lines that a text names. Raises ConfigError for a text or a line that cannot be."""
    found = _read(text, Line, lambda points: dict(zip(("from", "to", "more"), points, strict=False)))
    for line in found:
        if np.hypot(*(np.array(line.end) - line.begin)) < LEAST_LENGTH:
            raise ConfigError(f'Line "{line.name}" is too short.', hint="Move its two ends apart.")
    return found


def _read(text: str, kind: type[M], of_points: Callable[[list[Any]], dict[str, Any]]) -> tuple[M, ...]:
    word = kind.__name__.lower()
    entries = _entries(text, word, of_points)
    if len(entries) > MAX_ZONES:
        raise ConfigError(f"There are {len(entries)} {word}s, and {MAX_ZONES} can be watched.")
    found = []
    for k, entry in enumerate(entries):
        try:
            found.append(kind.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            name = entry.get("name", k + 1) if isinstance(entry, dict) else k + 1
            where = "".join(f" {part + 1 if isinstance(part, int) else part}" for part in first["loc"])
            raise ConfigError(
                f'{kind.__name__} "{name}" cannot be:{where}: {first["msg"]}.',
                hint="Write points as shares of the picture, from 0 to 1.",
            ) from None
    names = [one.name for one in found]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f'Two {word}s are named "{double}".', hint="Give each a name of its own.")
    return tuple(found)


def _entries(text: str, word: str, of_points: Callable[[list[Any]], dict[str, Any]]) -> list[Any]:
    """Return what a text lists: the objects of JSON, or those that its short form says."""
    if text.lstrip().startswith(("[", "{")):
        try:
            read = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"The {word}s are no JSON: {error.msg} at character {error.pos + 1}.",
                hint='Write [{"name": ...}], or the short form "name: x,y x,y".',
            ) from None
        return read if isinstance(read, list) else [read]
    entries = []
    for part in (part.strip() for part in re.split(r"[;\n]", text) if part.strip()):
        match = _ENTRY.fullmatch(part)
        if match is None:
            raise ConfigError(
                f'"{part[:60]}" says no {word}.', hint='Write "name: x,y x,y", and behind it "for person".'
            )
        points = [point.split(",") for point in match["points"].split()]
        kinds = [kind.strip() for kind in (match["kinds"] or "").split(",") if kind.strip()]
        entries.append({"name": match["name"].strip(), "kinds": kinds, **of_points(points)})
    return entries


def _as_text(value: Any) -> Any:
    """Return a list of objects, or one of them, as JSON; anything else as it is."""
    if isinstance(value, BaseModel):
        return _as_text([value])
    if isinstance(value, dict) or (isinstance(value, Sequence) and not isinstance(value, str)):
        many = [value] if isinstance(value, dict) else value
        plain = [one.model_dump(by_alias=True) if isinstance(one, BaseModel) else one for one in many]
        return json.dumps(plain, default=str, ensure_ascii=False) if plain else ""
    return value


def _as_names(value: Any) -> Any:
    """Return a list of names as a text with commas; anything else as it is."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else value


def _checked(name: str, check: Callable[[str], object]) -> AfterValidator:
    """Return what refuses a text that `check` raises ConfigError for."""

    def checked(text: str) -> str:
        try:
            check(text)
        except ConfigError as error:
            raise PydanticCustomError(name, "{says}", {"says": f"{error.message} {error.hint}"}) from None
        return text

    return AfterValidator(checked)


class WatchConfig(BaseModel):
    """Say what is watched for. A stage's settings are made of these, by inheritance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zones: Annotated[str, BeforeValidator(_as_text), _checked("zones", zones_of), Live()] = Field(
        "",
        max_length=MAX_TEXT_CHARS,
        description='Areas, as shares: "door: 0.1,0.2 0.5,0.2 0.5,0.9 for person; ...", or JSON.',
        json_schema_extra=GROUP,
    )
    lines: Annotated[str, BeforeValidator(_as_text), _checked("lines", lines_of), Live()] = Field(
        "",
        max_length=MAX_TEXT_CHARS,
        description='Lines that count who crosses: "gate: 0.5,0 0.5,1 for person; ...", or JSON.',
        json_schema_extra=GROUP,
    )
    tell: Annotated[str, BeforeValidator(_as_names), Live()] = Field(
        "",
        max_length=MAX_KINDS_CHARS,
        description="Kinds of things whose coming and going is told, with commas between.",
        json_schema_extra=GROUP,
    )
    watch_point: Annotated[Literal["middle", "foot"], Live()] = Field(
        "middle",
        description="Which point of a thing counts: the middle of its box, or that of its lower side.",
        json_schema_extra=GROUP,
    )
    watch_border: Annotated[float, Live()] = Field(
        0.01,
        ge=0.0,
        le=0.1,
        description="How far over a border a thing has to be, as a share of the picture.",
        json_schema_extra=GROUP,
    )
    settle_ms: Annotated[float, Live()] = Field(
        250.0,
        ge=0.0,
        le=60_000.0,
        description="How long something has to be so before it is told.",
        json_schema_extra=GROUP,
    )
    patience_ms: Annotated[float, Live()] = Field(
        1000.0,
        ge=0.0,
        le=60_000.0,
        description="How long a thing may be lost from sight before it counts as gone.",
        json_schema_extra=GROUP,
    )
