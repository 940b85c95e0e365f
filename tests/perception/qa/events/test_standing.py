"""A wish is read once, fires once for each occurrence, and rests for a while."""

from __future__ import annotations

import pytest

from benchmarks._answer_scenes import Says, Script, Stay, play
from perception.detectors.coco import NAMES
from perception.qa.base import Moment
from perception.qa.events.memory import EventMemory
from perception.qa.events.standing import Standing, condition_of
from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConfigError

SCRIPT = Script(
    stays=(
        Stay("cup", 5, 20, x=0.2, colour="red", to_x=0.8, moves_s=10),
        Stay("cup", 24, 28, x=0.2, colour="blue"),
        Stay("person", 8, 40, x=0.5, y=0.2),
        Stay("person", 12, 18, x=0.5, y=0.8),
        Stay("person", 44, 58, x=0.5, y=0.8),
    ),
    speech=(Says(15, "shall we have lunch"), Says(16, "lunch is ready"), Says(50, "more lunches please")),
    cuts_s=(59,),
    lasts_s=61,
)


WISHES = {
    "tell me when a person appears": [8, 12, 44],
    "Let me know if somebody comes!": [8, 12, 44],
    "tell me when a blue cup is there": [24],
    "tell me when the cup leaves": [20, 28],
    "tell me when there are more than 1 people": [12],
    "tell me when there are at least two people": [12],
    "tell me when there is nobody left": [42, 60],
    "tell me when somebody says lunch": [15, 50],
    "tell me when the cup moves": [9],
    "tell me when it gets still": [13],
    "tell me when the scene changes": [59],
    "tell me when a dog appears": [],
}
Fired = dict[str, list[Moment]]


def knows(label: str) -> bool:
    return label in NAMES


@pytest.fixture(scope="module")
def fired() -> Fired:
    """Tell all wishes the script, and return when each fired; one more of them rests for longer."""
    memory = EventMemory(anchor_ns=10**18)
    standing = {text: Standing(condition_of(text, knows), 3.0) for text in WISHES}
    standing["rests"] = Standing(condition_of("tell me when a person appears", knows), 10.0)
    found: Fired = {text: [] for text in standing}
    note = memory.note

    def noted(event: dict[str, object], at_ns: int) -> None:
        note(event, at_ns)
        for text, one in standing.items():
            moment = one.feed(event, at_ns, memory.snapshot())
            found[text] += [moment] if moment else []

    memory.note = noted  # type: ignore[method-assign, assignment]
    play(SCRIPT, memory, begin_ns=0)
    return found


@pytest.mark.parametrize("text", WISHES)
def test_a_wish_fires_once_for_each_occurrence(fired: Fired, text: str) -> None:
    seen = [one.at_ns / NS_PER_S for one in fired[text]]
    assert len(seen) == len(WISHES[text])
    assert all(abs(one - other) <= 1 for one, other in zip(seen, WISHES[text], strict=True))


def test_it_rests_after_it_fired_and_says_what_it_fired_on(fired: Fired) -> None:
    assert [one.says for one in fired["rests"]] == ["a person, top", "a person, bottom"]
    assert [one.says for one in fired["tell me when there are at least two people"]] == ["2 people"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tell me when a unicorn appears", "I cannot tell unicorns from other things"),
        ("tell me when a person with a hat appears", 'I cannot tell anything of "with hat"'),
        ("tell me when a dog comes tomorrow at 3 pm", "cannot hold a time"),
        ("tell me when", "nothing to wait for"),
        ("tell me a joke", "do not understand"),
        ("", "nothing to wait for"),
    ],
)
def test_a_wish_that_cannot_be_watched_for_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        condition_of(text, knows)
    assert "tell me when a red car appears" in caught.value.hint
