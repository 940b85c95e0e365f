"""Make streams to seek in: worlds of up to thousands of frames, with questions whose answers depend on what is found.

Numbers only, on processors, as in `batches`. A question says what it is about and not what is true: that is for
who knows which frames it sees (`shown.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .batches import LONG, Array, tokens
from .questions import Subject, View, named, subject
from .words import COLOURS, FORMS, KINDS, NONE, NOW, SHAPES
from .world import SLOTS, colour_of, shape_of, world

THINGS = len(SHAPES) * len(COLOURS)
MIX = (*KINDS, *("place",) * 4, *("colour",) * 2, *("count", "order") * 2, "appear", "leave", "place now")
"""Kinds of questions, each as often as it stands here."""
MISSING, MIXED = 0.25, 0.2
"""How often a question is about anything at all; and about one thing's shape in another's colour, which mostly was not there."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """Say what streams to make."""

    seed: tuple[int, ...]
    streams: int
    frames: int
    questions: int


@dataclass(frozen=True, slots=True)
class Streams:
    """Hold W streams of F frames with Q questions each; an answer stands as "none" until it is known."""

    thing_WFK: Array
    cell_WFK: Array
    drawn_WFK4: Array
    ids_WQL: Array
    said_WQ: Array
    """At which token the answer stands."""
    asks_WQ: Array
    """How many tokens are the question's own words."""
    kind_WQ: Array
    about_WQT: Array
    """Which of all things a question is about."""
    others_WQT: Array
    """Which it compares them with; only where it asks for an order."""


def _drawn(kind: str, view: View, rng: np.random.Generator) -> Subject:
    """Draw what to ask about; now and then a mixture of two things that were there."""
    known = sorted(view.seen)
    if known and kind in ("place", "place now", "appear", "there now", "leave") and rng.random() < MIXED:
        one, two = (int(known[rng.integers(len(known))]) for _ in range(2))
        return named(shape_of(one), colour_of(two))
    return subject(kind, view, rng, MISSING)


def streams(spec: StreamSpec) -> Streams:
    """Make streams; the same spec gives the same ones."""
    rng = np.random.default_rng(spec.seed)
    size, asked = (spec.streams, spec.frames), (spec.streams, spec.questions)
    thing, cell = np.full((*size, SLOTS), -1, np.int8), np.zeros((*size, SLOTS), np.int8)
    drawn = np.zeros((*size, SLOTS, 4), np.float32)
    ids = np.zeros((*asked, LONG), np.int16)
    said, asks, kind = (np.zeros(asked, np.int16) for _ in range(3))
    about, others = np.zeros((*asked, THINGS), bool), np.zeros((*asked, THINGS), bool)
    for w in range(spec.streams):
        rare = int(rng.integers(2, 3 + min(max(spec.frames // 5, 2), 14)))
        made = world(rng, spec.frames, bool(rng.random() < 0.5), rare)
        thing[w], cell[w], drawn[w] = made.thing_TK, made.cell_TK, made.drawn_TK4
        view = View(made, range(spec.frames))
        for q in range(spec.questions):
            one = MIX[rng.integers(len(MIX))]
            name, things = _drawn(one, view, rng)
            other, compared = _drawn(one, view, rng) if one == "order" else ("", ())
            form = FORMS[one][int(rng.integers(len(FORMS[one])))]
            ids[w, q], said[w, q], asks[w, q] = tokens(form.format(x=name, y=other), NONE)
            kind[w, q] = KINDS.index(one)
            about[w, q, list(things)] = one != "count now"
            others[w, q, list(compared)] = True
    return Streams(thing, cell, drawn, ids, said, asks, kind, about, others)


class Posed:
    """A batch on the model's device, with questions in one row of N."""

    def __init__(self, made: Streams, device: str) -> None:
        def there(part: Any, flat: bool = True) -> torch.Tensor:
            moved = torch.from_numpy(part).to(device, non_blocking=True)
            return moved.flatten(0, 1) if flat else moved

        self.thing_WFK, self.cell_WFK = there(made.thing_WFK, False), there(made.cell_WFK, False)
        self.ids_NL, self.said_N, self.asks_N = there(made.ids_WQL).long(), there(made.said_WQ).long(), there(made.asks_WQ).long()
        self.kind_N, self.about_NT, self.others_NT = there(made.kind_WQ).long(), there(made.about_WQT), there(made.others_WQT)
        self.streams, self.frames = self.thing_WFK.shape[:2]
        self.count = len(self.kind_N)
        self.stream_N = torch.arange(self.count, device=device).div(self.count // self.streams, rounding_mode="floor")
        past = torch.tensor([kind not in NOW for kind in KINDS], device=device)[self.kind_N]
        shape = (self.streams, self.frames, made.about_WQT.shape[-1] + 1)
        thing = torch.where(self.thing_WFK < 0, shape[-1] - 1, self.thing_WFK).long()
        there_WFT = torch.zeros(shape, device=device).scatter_(2, thing, 1.0)[..., :-1]
        wanted_WQT = ((self.about_NT | self.others_NT) & past[:, None]).float().unflatten(0, (self.streams, -1))
        self.shows_NF = (torch.einsum("wqt,wft->wqf", wanted_WQT, there_WFT) > 0).flatten(0, 1)
        """Which frames show what a question asks for; none where it asks about now."""

    def seen(self, chosen_NK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return things and cells of chosen frames, (N, K, slots) each, the newest last and what is none first."""
        rising_NK = torch.where(chosen_NK < self.frames, chosen_NK, -1).sort(1).values
        at = self.stream_N[:, None], rising_NK.clamp(min=0)
        thing = torch.where((rising_NK >= 0)[..., None], self.thing_WFK[at], -1)
        return thing, self.cell_WFK[at]
