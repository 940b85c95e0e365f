"""Questions about made worlds have the answers that a plain reading finds; training sees no held-out one."""

from __future__ import annotations

import numpy as np
import pytest

from training.qa import lesson, summarise, train
from training.qa.batches import Spec, batch, looked_at, tokens
from training.qa.paint import RGB, film
from training.qa.questions import View, several
from training.qa.words import COLOURS, FORMS, KINDS, NUMBERS, PLACES, SHAPES
from training.qa.world import CELL, SLOTS, World, world


def there(made: World, frame: int) -> set[tuple[str, str, str]]:
    """Read shape, colour and place of all that is drawn in a frame, place by where it is drawn."""
    found = set()
    for slot in range(SLOTS):
        number = int(made.thing_TK[frame, slot])
        if number >= 0:
            x, y = made.drawn_TK4[frame, slot, :2]
            found.add((SHAPES[number // 8], COLOURS[number % 8], PLACES[int(y // CELL) * 3 + int(x // CELL)]))
    return found


def read(text: str, frames: list[set[tuple[str, str, str]]]) -> str:
    """Answer by going through frames one by one; what is asked is taken from the question's words."""
    words = text.split()
    named = [w for w in words if w in SHAPES or w in COLOURS]
    hits = [{t for t in frame if all(w in t for w in named)} for frame in frames]
    if "first" in words:
        return next(t[0] for frame in frames for t in frame if t[0] in named)
    if "many" in words and "now" in words:
        return NUMBERS[len(frames[-1])]
    if "many" in words:
        return NUMBERS[len({t[:2] for frame in hits for t in frame})]
    if words[0] in ("has", "did", "is", "do", "was"):
        seen, now = any(hits), bool(hits[-1])
        if "leave" in words or "left" in words:
            return "none" if not seen else "no" if now else "yes"
        return "yes" if (now if words[0] in ("is", "do") else seen) else "no"
    told = hits[-1] if {"is", "now"} & set(words) else set().union(*hits)
    part = 2 if words[0] == "where" else 1 if {"colour"} & set(words) else 0
    said = {t[part] for t in told}
    assert len(said) <= 1, "a question with more than one answer was asked"
    return said.pop() if said else "none"


@pytest.mark.parametrize("dense", [False, True])
def test_the_truth_is_what_a_plain_reading_finds(dense: bool) -> None:
    asked = set()
    for seed in range(40):
        rng = np.random.default_rng((seed, dense))
        made = world(rng, 24, dense, 6)
        view = looked_at(made, rng, 0.3)
        frames = [there(made, int(frame)) for frame in view]
        for one in several(KINDS, View(made, view), rng, 16):
            assert one.answer == read(one.text, frames), f"{one.text} {frames}"
            asked.add((one.kind, one.answer))
    assert {kind for kind, _ in asked} == set(KINDS)
    assert len({answer for kind, answer in asked if kind == "place"}) >= 8
    for kind in ("appear", "there now", "leave"):
        assert {answer for k, answer in asked if k == kind} >= {"yes", "no"}


def test_every_wording_fits_and_is_known() -> None:
    for forms in FORMS.values():
        for form in forms:
            ids, said, words = tokens(form.format(x="purple triangle", y="purple triangle"), "none")
            assert 3 not in ids, form  # an unknown word
            assert said == 1 + words + 2


def test_things_are_drawn_where_the_world_says_they_are() -> None:
    made = world(np.random.default_rng(4), 60, True, 8)
    frames = film(made.thing_TK, made.drawn_TK4, 4).astype(float)
    checked = 0
    for at in range(made.frames):
        for slot in range(SLOTS):
            number = int(made.thing_TK[at, slot])
            if number >= 0 and SHAPES[number // 8] in ("circle", "square", "cross"):
                x, y = made.drawn_TK4[at, slot, :2].astype(int)
                patch = frames[at, y - 1 : y + 2, x - 1 : x + 2].mean((0, 1))
                nearest = min(RGB, key=lambda name: sum((patch - RGB[name]) ** 2))
                assert nearest == COLOURS[number % 8]
                checked += 1
    assert checked > 20


def test_training_sees_nothing_that_is_held_out() -> None:
    made = [train.plan(share, (train.TRAINING, 0, 5), 64, 2)[0] for share in (None, 0.0, 0.3, 0.9)]
    seeds = {spec.seed[0] for spec in made} | {lesson.spec(5, 0, 64, 8)[0].seed[0]}
    assert seeds | {summarise.spec(summarise.key(0, 5), 64, 8).seed[0]} == {train.TRAINING}
    assert train.TRAINING != train.HELD_OUT
    learnt, judged = (batch(Spec((first, 0, 5), 4, 12)) for first in (train.TRAINING, train.HELD_OUT))
    again = batch(Spec((train.TRAINING, 0, 5), 4, 12))
    assert np.array_equal(learnt.thing_BTK, again.thing_BTK)
    assert np.array_equal(learnt.ids_BQL, again.ids_BQL)
    assert not np.array_equal(learnt.thing_BTK, judged.thing_BTK)
