"""Make batches of clips with questions: numbers only, on processors; frames are drawn where the model is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult, Pool
from typing import Any

import numpy as np
import numpy.typing as npt

from .questions import View, several
from .words import AFTER, END, KINDS, NOW, NUMBER_OF, PAD, PAST, VIDEO, numbers_of
from .world import SLOTS, World, world

LONG = 16
"""Tokens of a question with its answer, padded at the end."""
Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Spec:
    """Say what clips to make."""

    seed: tuple[int, ...]
    clips: int
    frames: int
    questions: int = 8
    kinds: tuple[str, ...] = KINDS + tuple(kind for kind in PAST if kind not in ("appear", "leave"))
    """How often each kind is asked about: as often as it stands here."""
    whole: float = 0.35
    """Share of clips of which all frames are in view; of the others some are, as after a retrieval."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Hold B clips of T frames with Q questions each."""

    thing_BTK: Array
    drawn_BTK4: Array
    view_BT: Array
    """Which frames the questions see."""
    ids_BQL: Array
    said_BQ: Array
    """At which token the answer stands."""
    asks_BQ: Array
    """How many tokens are the question's own words."""
    shows_BQT: Array
    """Which frames show what a question is about."""
    kind_BQ: Array


def looked_at(made: World, rng: np.random.Generator, whole: float) -> npt.NDArray[np.int64]:
    """Return frames as a retrieval would give them: of some things several, some of others, and the newest."""
    frames = made.frames
    if frames < 4 or rng.random() < whole:
        return np.arange(frames)
    chosen = set(range(frames - int(rng.integers(1, 5)), frames))
    things = np.unique(made.thing_TK[made.thing_TK >= 0])
    for what in rng.permutation(things)[: int(rng.integers(0, 4))]:
        there = np.flatnonzero((made.thing_TK == what).any(1))
        chosen.update(rng.permutation(there)[: int(rng.integers(1, 9))].tolist())
    more = int(rng.integers(0, min(24, frames)))
    chosen.update(rng.integers(0, frames, more).tolist())
    return np.array(sorted(chosen))


def tokens(text: str, answer: str) -> tuple[list[int], int, int]:
    """Return the tokens of a question with its answer, where the answer stands, and how long the question is.

    VIDEO comes first and stands for what closes the frames, the class's newline.
    """
    words = text.split()
    ids = numbers_of([VIDEO, *words, *AFTER, answer, END])
    if len(ids) > LONG:
        raise ValueError(f"A question of {len(words)} words does not fit into {LONG} tokens: {text!r}")
    return ids + [NUMBER_OF[PAD]] * (LONG - len(ids)), 1 + len(words) + len(AFTER), len(words)


def batch(spec: Spec) -> Batch:
    """Make a batch; the same spec gives the same one."""
    rng = np.random.default_rng(spec.seed)
    clips, frames, asked = spec.clips, spec.frames, spec.questions
    thing = np.full((clips, frames, SLOTS), -1, np.int8)
    drawn = np.zeros((clips, frames, SLOTS, 4), np.float32)
    view = np.zeros((clips, frames), bool)
    ids = np.zeros((clips, asked, LONG), np.int16)
    said, asks, kind = (np.zeros((clips, asked), np.int16) for _ in range(3))
    shows = np.zeros((clips, asked, frames), bool)
    weights = [kind for kind in spec.kinds if frames > 1 or kind not in ("order", "leave", "count")]
    for b in range(clips):
        rare = int(rng.integers(1, 6 if frames < 4 else 3 + min(frames // 5, 9)))
        made = world(rng, frames, bool(rng.random() < 0.5), rare, (1, 8) if frames > 1 else (1, 1))
        thing[b], drawn[b] = made.thing_TK, made.drawn_TK4
        seen = looked_at(made, rng, spec.whole)
        view[b, seen] = True
        for q, one in enumerate(several(weights, View(made, seen), rng, asked)):
            ids[b, q], said[b, q], asks[b, q] = tokens(one.text, one.answer)
            kind[b, q] = KINDS.index(one.kind)
            if one.about and one.kind not in NOW:
                shows[b, q] = np.isin(made.thing_TK, one.about).any(1)
    return Batch(thing, drawn, view, ids, said, asks, shows, kind)


def ahead(specs: Iterator[Any], pool: Pool | None, depth: int = 24, make: Callable[[Any], Any] = batch) -> Iterator[Any]:
    """Give what is made of specs in order, by a pool a few ahead; without a pool made when asked for."""
    if pool is None:
        yield from map(make, specs)
        return
    waiting: deque[AsyncResult[Any]] = deque()
    for spec in specs:
        waiting.append(pool.apply_async(make, (spec,)))
        if len(waiting) > depth:
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()
