"""What a sentence asks for, before anybody knows what is set now: pure values, made by the parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args


@dataclass(frozen=True, slots=True)
class Paint:
    """Paint in another look, mood or strength; None leaves it as it is, "" takes it away."""

    look: str | None = None
    mood: str | None = None
    strength: str | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """Set a setting to a value."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Shift:
    """Move a number by a share of its range; a whole number by at least one."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Step:
    """Add to a whole number that has no range worth a share, such as a seed."""

    name: str
    by: int


@dataclass(frozen=True, slots=True)
class Preset:
    """Set all that a preset of the settings names."""

    name: str


@dataclass(frozen=True, slots=True)
class Undo:
    """Set what the last command changed back to what it was."""


@dataclass(frozen=True, slots=True)
class Act:
    """Do what a button of the page does."""

    what: Literal["start_recording", "stop_recording", "stop"]


@dataclass(frozen=True, slots=True)
class Deafen:
    """Hear no more commands until somebody turns that on again, by hand."""


Wish = Paint | Put | Shift | Step | Preset | Undo | Act | Deafen


def told(wish: Wish) -> dict[str, Any]:
    """Return a wish as JSON can hold it."""
    return {"kind": type(wish).__name__.lower(), **asdict(wish)}


def wish_of(told: Mapping[str, Any]) -> Wish:
    """Return the wish that `told` was made of."""
    kinds = {kind.__name__.lower(): kind for kind in get_args(Wish)}
    found: Wish = kinds[told["kind"]](**{name: value for name, value in told.items() if name != "kind"})
    return found
