"""Kinds of things as a person types them: "person, traffic light" is a choice, nothing is all of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .scene import Things

MAX_CHARS = 400


@lru_cache(64)
def kinds_of(text: str) -> frozenset[str]:
    """Return the names in a text with commas between, without case; none at all means any kind."""
    return frozenset(name for part in text.split(",") if (name := plain(part)))


def plain(name: str) -> str:
    """Return a name as names are compared: in small letters, with single spaces."""
    return " ".join(name.casefold().split())


def are_of(things: Things, kinds: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Return which things are of one of `kinds`, (N,); all of them where `kinds` is empty."""
    if not kinds:
        return np.ones(len(things), bool)
    wanted = np.array([plain(name) in kinds for name in things.names], bool)
    return wanted[things.kinds_N] if len(things) else np.zeros(0, bool)


def picked(things: Things, which: npt.NDArray[np.bool_]) -> Things:
    """Return those of `things` that `which` (N,) marks."""
    return Things(
        things.at_ns,
        things.ids_N[which],
        things.xyxy_N4[which],
        things.velocity_N2[which],
        things.scores_N[which],
        things.kinds_N[which],
        things.names,
    )
