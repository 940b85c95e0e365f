"""Questions about made scenes, with answers that come from the script and not from the memory.

Each scene is drawn at random: some things come, stay and go, one moves, some sentences are said, and now and
then the detector tells of something that is not there. A *false claim* is an answer that says that something
was so which was not: seen or heard, or with a number, colour, place, direction or time that is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._answer_scenes import PAINT, Says, Script, Stay, play
from perception.qa.base import Answer
from perception.qa.events.memory import EventMemory
from perception.qa.events.places import phrase, place_of
from realtime.core.clock import NS_PER_S

SCENES = 6
LASTS_S = 80.0
CLEAR_S = 2.0
"""What is nearer to the border between yes and no is not asked about."""
NEAR_S = 1.0
"""So far may a told time be from the true one."""
LABELS = ("cup", "dog", "person", "laptop", "book", "chair", "umbrella", "bottle", "car", "bicycle")
ABSENT = ("cat", "horse", "pizza", "truck", "elephant", "clock", "boat")
UNKNOWN = ("unicorn", "spaceship", "violin", "wallet")
TOPICS = ("train", "lunch", "meeting", "weather", "garden")
SENTENCES = {
    "train": "the train leaves at nine",
    "lunch": "we should have lunch soon",
    "meeting": "the meeting was moved to room four",
    "weather": "what a lovely weather today",
    "garden": "the garden needs some water",
}
_FOR_ABSENT = (
    ("was", "was there a {}?"),
    ("now", "is there a {}"),
    ("count", "how many {}s were there"),
    ("count", "how often did the {} come"),
    ("when", "when did the {} leave"),
    ("how long", "how long was the {} there"),
    ("colour", "what colour was the {}"),
    ("where", "where did I put the {}?"),
    ("moved", "did the {} move"),
    ("beside", "was there a person before the {} left"),
)
ANCHOR_NS = 1_760_000_000 * NS_PER_S
BEGIN_NS = NS_PER_S


@dataclass(frozen=True)
class Case:
    """Hold one question with its truth."""

    intent: str
    text: str
    observed: bool
    right: Callable[[Answer], bool] = lambda answer: True
    """Whether an answer that says "observed" is true in what it says."""


def judged(scenes: int = SCENES) -> dict[str, Any]:
    """Ask about that many scenes; return accuracy by intent, and how many false claims there were."""
    right: dict[str, list[bool]] = {}
    false: list[str] = []
    wrong: list[str] = []
    for seed in range(scenes):
        script = made_up(seed)
        memory = EventMemory(anchor_ns=ANCHOR_NS)
        play(script, memory, begin_ns=BEGIN_NS, seed=seed, ghosts=ABSENT)
        snapshot = memory.snapshot()
        for case in cases(script):
            *_, answer = memory.ask(case.text, snapshot)
            is_true = not answer.observed or (case.observed and case.right(answer))
            is_right = answer.observed == case.observed and is_true
            right.setdefault(case.intent, []).append(is_right)
            if not is_true:
                false.append(f"scene {seed}: {case.text} -> {answer.text}")
            elif not is_right:
                wrong.append(f"scene {seed}: {case.text} -> {answer.text}")
        memory.close()
    asked = sum(map(len, right.values()))
    return {
        "questions": asked,
        "event_accuracy": round(sum(sum(one) for one in right.values()) / asked, 4),
        "event_accuracy_by_intent": {
            intent: {"right": sum(one), "of": len(one)} for intent, one in sorted(right.items())
        },
        "false_claims": len(false),
        "false": false[:10],
        "not_answered": wrong[:10],
    }


def made_up(seed: int) -> Script:
    """Return a scene: six things, two of which have one label, one that moves, and three sentences."""
    random = np.random.default_rng(seed)
    labels = [str(one) for one in random.permutation(LABELS)]
    colours = [str(one) for one in random.permutation(list(PAINT))]
    columns = (0.17, 0.5, 0.83)
    cells = [(x, y) for y in (0.17, 0.83) for x in columns]
    cells = [cells[k] for k in random.permutation(6)]
    stays = []
    for k in range(5):
        begin_s = float(random.integers(2, 40))
        end_s = begin_s + float(random.integers(6, 30))
        stays.append(Stay(labels[k], begin_s, end_s, *cells[k], colours[k]))
    begin_s = float(random.integers(5, 40))
    begin_s += 4 * (abs(begin_s + 12 - stays[0].end_s) < 2)  # or nobody could say which left last
    stays.append(Stay(labels[0], begin_s, begin_s + 12, *cells[5], colours[0]))
    x, to_x = (0.2, 0.8) if random.random() < 0.5 else (0.8, 0.2)
    stays.append(
        Stay(labels[5], 10, 200, x, 0.5, colours[5], to_x=to_x, moves_s=float(random.integers(15, 50)))
    )
    topics = [str(one) for one in random.permutation(TOPICS)][:3]
    speech = [Says(float(random.integers(5, 75)), SENTENCES[topic]) for topic in topics]
    return Script(tuple(stays), tuple(speech), (), LASTS_S)


def cases(script: Script) -> Iterator[Case]:
    """Give the questions about a scene, with what is true."""
    groups: dict[str, list[Stay]] = {}
    for one in script.stays:
        groups.setdefault(one.label, []).append(one)
    for label, stays in groups.items():
        yield from _about_present(label, stays)
    for name in (*ABSENT, *UNKNOWN):
        for intent, text in _FOR_ABSENT:
            yield Case(intent, text.format(name), False)
    alone = [one[0] for one in groups.values() if len(one) == 1]
    for one, other in itertools.pairwise(alone):
        yield from _beside(one, other)
        yield from _beside(other, one)
    yield from _said(script)
    yield Case("future", f"will there be a {script.stays[0].label} soon?", False)
    yield Case("unknown", "how do you feel about this", False)


def _about_present(label: str, stays: list[Stay]) -> Iterator[Case]:
    last = max(stays, key=lambda one: one.end_s)
    is_here = last.end_s >= LASTS_S
    first = min(stays, key=lambda one: one.begin_s)
    most = max(sum(one.begin_s <= at.begin_s < one.end_s for one in stays) for at in stays)
    yield Case("was", f"was there a {label}?", True)
    yield Case("was", f"did you see any {label}s", True)
    yield Case("was", f"was there a {last.colour} {label}", True)
    for colour in PAINT:
        if all(one.colour != colour for one in stays):
            yield Case("was", f"was there a {colour} {label}?", False)
    yield Case("was", f"was there a {label} with a hat", False)
    yield Case("now", f"is there a {label} now?", is_here)
    yield Case("now", f"how many {label}s are there now", is_here, _says("I see 1 "))
    yield Case("count", f"how many {label}s were there at the same time", True, _says(f"I saw {most} "))
    yield Case("count", f"how often did the {label} come", True, _says({1: "once", 2: "twice"}[len(stays)]))
    if len(stays) == 1:
        yield Case("was", f"were there two {label}s?", False)
    yield Case("when", f"when did the {label} first appear?", True, _at(first.begin_s, is_first=True))
    yield Case("when", f"when did the {label} leave", not is_here, _until(last.end_s))
    yield Case("how long", f"how long was the {label} there?", True, _lasted(last))
    yield Case("colour", f"what colour was the {label}?", True, _says(f" {last.colour}"))
    yield Case("where", f"where did I put the {label}?", True, _says(phrase(place_of(last.at(LASTS_S)))))
    early_s = first.begin_s - 1.5
    if early_s > 1:
        ago = f"more than {round(LASTS_S - early_s)} seconds ago"
        yield Case("was", f"was there a {label} {ago}", False)
    late_s = LASTS_S - last.end_s - 2
    yield Case("was", f"was there a {label} in the last {max(round(late_s), 5)} seconds", is_here)
    if len(stays) == 1:
        yield from _placed(stays[0])
        number = f"were there {('three', 'four', 'five')[len(label) % 3]} {label}s"
        yield Case("count", number, False)
    moved = [one for one in stays if one.to_x is not None]
    way = "to the right" if moved and moved[0].to_x == 0.8 else "to the left"
    other_way = "left" if way.endswith("right") else "right"
    yield Case("moved", f"did the {label} move to the {other_way}", False)
    yield Case(
        "moved",
        f"when did the {label} move",
        bool(moved),
        _at(moved[0].moves_s if moved else 0, is_first=True),
    )
    yield Case("moved", f"did the {label} move?", bool(moved), _says(way))
    yield Case("moved", f"which way did the {label} go", bool(moved), _says(way))


def _beside(one: Stay, other: Stay) -> Iterator[Case]:
    """Give questions about two things, where the script is not too near to the border of yes and no."""
    name, at = one.label, other.label
    cases_of = (
        (f"was there a {name} before the {at} appeared?", other.begin_s - one.begin_s),
        (f"did you see a {name} after the {at} left", min(one.end_s, LASTS_S) - other.end_s),
        (
            f"was there a {name} while the {at} was there?",
            min(one.end_s, other.end_s) - max(one.begin_s, other.begin_s),
        ),
        (
            f"was the {name} there when the {at} appeared",
            min(one.end_s - other.begin_s, other.begin_s - one.begin_s),
        ),
    )
    for text, margin_s in cases_of:
        has_left = "left" not in text or other.end_s < LASTS_S
        if abs(margin_s) > CLEAR_S:
            yield Case("beside", text, margin_s > 0 and has_left)


def _placed(one: Stay) -> Iterator[Case]:
    """Give questions about where a thing was, over all and at a moment."""
    here = one.end_s >= LASTS_S
    first, last = place_of(one.at(one.begin_s)), place_of(one.at(LASTS_S))
    for side in ("left", "right"):
        was_there = side in first or side in last
        yield Case("place", f"was there a {one.label} on the {side}?", was_there)
        yield Case("place", f"is there a {one.label} on the {side} now", here and side in last)
    if one.to_x is None:
        middle_s = (one.begin_s + min(one.end_s, LASTS_S)) / 2
        ago_s = round(LASTS_S - 0.1 - middle_s)
        yield Case("place", f"where was the {one.label} {ago_s} seconds ago", True, _says(phrase(first)))
        return
    for time_s, place in ((one.moves_s - 4, first), (one.moves_s + 8, last)):
        ago_s = round(LASTS_S - 0.1 - time_s)
        yield Case("place", f"where was the {one.label} {ago_s} seconds ago", True, _says(phrase(place)))
    late_s = round(LASTS_S - one.moves_s - 5)
    gone = first.split()[-1]
    yield Case("place", f"was the {one.label} on the {gone} in the last {late_s} seconds", False)


def _said(script: Script) -> Iterator[Case]:
    said = {topic for topic, text in SENTENCES.items() if any(one.text == text for one in script.speech)}
    for topic in TOPICS:
        sentence = SENTENCES[topic]
        yield Case("said", f"what was said about the {topic}?", topic in said, _says(sentence))
        yield Case("said", f"did anybody mention the {topic}", topic in said, _says(sentence))
    yield Case("said", "what was said", True, lambda answer: answer.text.count('"') == 6)
    yield Case("said", "did anybody mention dinosaurs", False)


def _says(words: str) -> Callable[[Answer], bool]:
    sought = re.compile(re.escape(words) + (r"(?!\w)" if words[-1] != " " else ""))
    return lambda answer: sought.search(answer.text) is not None


def _near(at_ns: int, time_s: float) -> bool:
    return abs(at_ns - BEGIN_NS - time_s * NS_PER_S) <= NEAR_S * NS_PER_S


def _at(time_s: float, *, is_first: bool) -> Callable[[Answer], bool]:
    return lambda answer: _near(answer.moments[0].at_ns, time_s)


def _until(time_s: float) -> Callable[[Answer], bool]:
    return lambda answer: _near(answer.moments[0].until_ns, time_s)


def _lasted(stay: Stay) -> Callable[[Answer], bool]:
    def right(answer: Answer) -> bool:
        moment = answer.moments[0]
        is_open = stay.end_s >= LASTS_S
        return _near(moment.at_ns, stay.begin_s) and (is_open or _near(moment.until_ns, stay.end_s))

    return right
