"""Ask about what was seen of a world, and know the truth: of the frames in view, and of nothing else.

A question is only asked when its answer is plain: "what colour was the circle" needs all circles in view to be
of one colour, "where was the circle" that they were in one place. What is not in view was not seen: the truth is none, or no.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .words import COLOURS, FORMS, NO, NONE, NUMBERS, PLACES, SHAPES, YES
from .world import World, colour_of, shape_of, thing


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold a question, its answer, and which frames of the world show what it is about."""

    kind: str
    text: str
    answer: str
    about: tuple[int, ...]
    """Things of the world that it is about; empty for "how many things are there"."""


@dataclass(slots=True)
class _Seen:
    first: int
    last: int
    place: int
    places: set[int] = field(default_factory=set)


class View:
    """Say what can be seen in some frames of a world; the last of them is now."""

    def __init__(self, world: World, frames: Sequence[int]) -> None:
        self.seen: dict[int, _Seen] = {}
        things, cells = world.thing_TK[list(frames)], world.cell_TK[list(frames)]
        for at, slot in zip(*np.nonzero(things >= 0), strict=True):
            what, cell = int(things[at, slot]), int(cells[at, slot])
            one = self.seen.setdefault(what, _Seen(int(at), int(at), cell))
            one.last, one.place = int(at), cell
            one.places.add(cell)
        newest = len(frames) - 1
        self.now = {what for what, one in self.seen.items() if one.last == newest}

    def of(self, things: Sequence[int]) -> list[int]:
        """Return which of the things are in view."""
        return [what for what in things if what in self.seen]


def named(shape: int, colour: int | None) -> tuple[str, tuple[int, ...]]:
    """Return how a thing is called, and which things are called so."""
    if colour is None:
        return SHAPES[shape], tuple(thing(shape, c) for c in range(len(COLOURS)))
    return f"{COLOURS[colour]} {SHAPES[shape]}", (thing(shape, colour),)


def _coloured(colour: int) -> tuple[str, tuple[int, ...]]:
    return COLOURS[colour], tuple(thing(s, colour) for s in range(len(SHAPES)))


Subject = tuple[str, tuple[int, ...]]


def _only(found: Sequence[int], what: Callable[[int], str]) -> str | None:
    """Return the one thing that can be said of all that was found; None where there are several."""
    said = {what(one) for one in found}
    return NONE if not said else said.pop() if len(said) == 1 else None


def truth(kind: str, view: View, things: Sequence[int], others: Sequence[int] = ()) -> str | None:
    """Return the answer to a question of a kind about things, None where it has no plain one."""
    seen = view.of(things)
    if kind == "count now":
        return NUMBERS[len(view.now)] if len(view.now) < len(NUMBERS) else None
    if kind.endswith(" now"):
        seen = [what for what in seen if what in view.now]
    if kind in ("colour", "colour now"):
        return _only(seen, lambda what: COLOURS[colour_of(what)])
    if kind in ("shape", "shape now"):
        return _only(seen, lambda what: SHAPES[shape_of(what)])
    if kind == "place now":
        return _only(seen, lambda what: PLACES[view.seen[what].place])
    if kind == "place":
        return _only([place for what in seen for place in view.seen[what].places], lambda place: PLACES[place])
    if kind in ("appear", "there now"):
        return YES if seen else NO
    if kind == "count":
        return NUMBERS[len(seen)] if len(seen) < len(NUMBERS) else None
    if kind == "leave":
        return NONE if not seen else NO if view.now.intersection(seen) else YES
    if kind == "order":
        ours = min((view.seen[what].first for what in seen), default=None)
        theirs = min((view.seen[what].first for what in view.of(others)), default=None)
        if ours is None or theirs is None or ours == theirs:
            return None
        return SHAPES[shape_of(things[0])] if ours < theirs else SHAPES[shape_of(others[0])]
    raise ValueError(f'There is no kind of question "{kind}"')


def subject(kind: str, view: View, rng: np.random.Generator, missing: float) -> Subject:
    """Draw what to ask about: something in view, or with a chance of `missing` anything at all."""
    known = sorted(view.now if kind.endswith(" now") else view.seen)
    if known and rng.random() >= missing:
        one = known[rng.integers(len(known))]
        shape, colour = shape_of(one), colour_of(one)
    else:
        shape, colour = int(rng.integers(len(SHAPES))), int(rng.integers(len(COLOURS)))
    if kind in ("shape", "shape now"):
        return _coloured(colour)
    pair = kind in ("place", "place now", "appear", "there now", "leave") and rng.random() < 0.5
    return named(shape, colour if pair else None)


def missing_of(kind: str) -> float:
    """Return how often a question is to be about anything at all, so that its answers are about balanced."""
    return {"appear": 0.6, "there now": 0.6, "leave": 0.2, "count": 0.2, "order": 0.0}.get(kind, 0.2)


def ask(kind: str, view: View, rng: np.random.Generator, plain: bool = False) -> Asked | None:
    """Draw a question of a kind; None when this draw has no plain answer. `plain` takes the first wording."""
    forms = FORMS[kind]
    form = forms[0] if plain else forms[int(rng.integers(len(forms)))]
    if kind == "count now":
        answer = truth(kind, view, ())
        return None if answer is None else Asked(kind, form, answer, ())
    name, things = subject(kind, view, rng, missing_of(kind))
    other, others = ("", ()) if kind != "order" else subject(kind, view, rng, 0.0)
    answer = truth(kind, view, things, others)
    return None if answer is None else Asked(kind, form.format(x=name, y=other), answer, (*things, *others))


def several(kinds: Sequence[str], view: View, rng: np.random.Generator, count: int, plain: bool = False) -> list[Asked]:
    """Draw questions, of each kind about as many; what has no plain answer is drawn again, of any kind.

    "How many things are there now" always has one as long as there are five at most, so that this ends.
    """
    made: list[Asked] = []
    wanted = [kinds[i] for i in rng.permutation(len(kinds))]
    for turn in range(200 * count):
        if len(made) == count:
            break
        one = ask(wanted[len(made) % len(wanted)] if turn % 3 == 0 else kinds[rng.integers(len(kinds))], view, rng, plain)
        if one is not None:
            made.append(one)
    while len(made) < count:
        name, things = named(int(rng.integers(len(SHAPES))), int(rng.integers(len(COLOURS))))
        made.append(Asked("appear", FORMS["appear"][0].format(x=name), truth("appear", view, things) or NO, things))
    return made
