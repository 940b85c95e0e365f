"""Figures of our side alone that belong to the comparison: users together, own cost, a still scene, memory."""

from __future__ import annotations
from typing import Any


def four_users(*a: Any) -> dict[str, Any]:
    return {}


def own_overhead() -> dict[str, Any]:
    return {}


def still_scene() -> dict[str, Any]:
    return {}


def second_session() -> dict[str, Any]:
    return {}
