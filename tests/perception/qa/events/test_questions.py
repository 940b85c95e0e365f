"""Questions in many spellings, sly ones, broken ones: none raises, none is answered with what was not so."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._answer_scenes import play
from benchmarks._answer_truth import judged
from perception.qa.events.memory import EventMemory
from tests.perception.qa.events.asking import ANCHOR_NS, asked
from tests.perception.qa.events.test_memory import KITCHEN
from tests.vocabulary import timeless


@pytest.fixture(scope="module")
def kitchen() -> Iterator[EventMemory]:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    play(KITCHEN, memory)
    yield memory
    memory.close()


def test_made_scenes_are_answered_rightly_and_nothing_false_is_claimed() -> None:
    figures = judged(scenes=2)
    assert figures["questions"] > 500
    assert figures["false"] == []
    assert figures["event_accuracy"] > 0.98


_SPELLINGS = """
    was there a dog?
    WAS   THERE A  DOG???
    Did u see a dog
    any dogs?
    dog
    hey, can you tell me if there was a puppy, please
    there was a dog, wasn't there?
    show me the dog

    where did I put the cup?
    wehre did i put teh cup
    Where's my mug?
    find the cup
    where have you last seen the cup?

    what colour was the cup
    What color was the cup?
    which colour did the cup have
    waht was the colour of the cup

    how many people were there at the same time?
    how many ppl were there at once
    what was the number of persons at the same time
    How many humans did you see simultaneously?

    what was said about the umbrella?
    what did you hear about umbrellas
    anything about the umbrela?

    how long was the dog there
    For how long was the dog visible?
    how many seconds was the dog there

    what happened in the last 2 minutes
    summary of the last two minutes
    what did I miss in the past 120 seconds
"""
SAME = [tuple(map(str.strip, block.strip().splitlines())) for block in _SPELLINGS.split("\n\n")]


@pytest.mark.parametrize("texts", SAME, ids=lambda texts: texts[0])
def test_odd_spellings_get_the_same_answer(kitchen: EventMemory, texts: tuple[str, ...]) -> None:
    answers = {asked(kitchen, text).text for text in texts}
    assert len(answers) == 1
    assert all(asked(kitchen, text).observed for text in texts)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("was there a person with a hat", 'anything of "with hat"'),
        ("did the person pick up the cup", 'anything of "person pick up"'),
        ("was there a dog bowl", "I did not see a bowl"),
        ("was there a cup next to a red box", 'anything of "next to red box"'),
        ("were there two people on the left", "I saw no people on the left"),
        ("is there a cup on the right now", "I do not see a cup on the right now"),
        ("was there something on the table", 'anything of "on table"'),
        ("was the cup there the whole time", 'anything of "whole time"'),
        ("was there only one dog", 'anything of "only"'),
        ("was the dog barking", 'anything of "barking"'),
        ("did the cup move to the left", "did not see it move to the left"),
        ("was the dog on the right", "I saw one in the lower left"),
        ("were there more than two people", "2 people at the same time at most"),
        ("how many dogs and cats were there", "I saw no cats"),
        ("was there a dog and a cat", "I did not see a cat"),
        ("is the dog still there", "I do not see a dog now"),
        ("what is on the left", "I do not see anything"),
        ("was there a dog in the last 10 seconds", "I saw one last 32 s ago"),
        ("was there a dog yesterday", "Nobody told me"),
        ("did the person come after the dog left", "I did not see a person"),
        ("what happened after the unicorn left", "I cannot tell unicorns"),
        ("was there a house", "I cannot tell houses"),
        ("was there a goat", "I cannot tell goats"),
        ("who stole the cup", "I do not understand"),
        ("was it raining", "I do not understand"),
        ("did I leave", "I do not understand"),
        ("what will the dog do", "what will be I do not know"),
        ("was there a dog in the next five minutes", "what will be I do not know"),
        ("", "You asked nothing"),
        ("?!  ...", "You asked nothing"),
        ("help", "I can answer"),
    ],
)
def test_what_was_not_observed_is_not_claimed(kitchen: EventMemory, text: str, says: str) -> None:
    answer = asked(kitchen, text)
    assert says in answer.text
    assert not answer.observed


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE events; --",
        'what was said about "umbrella" OR dog',
        "what was said about NEAR(umbrella train) AND text:*",
        "what was said about \"'\" * ^ ( ) - + :",
        "did anybody mention words MATCH 'a' UNION SELECT jpeg FROM pictures",
        "was there a dog' OR '1'='1",
        "was there a %_%",
        "\x00\x07 was there a \ud83d\udc36".encode("utf-8", "replace").decode(),
        "how many " * 2000,
        "was there a dog " + "a" * 100_000,
        "(" * 5000,
        "between 99999999999999999999 and 3 pm",
        "was there a dog 99999999999999999 years hours ago",
        "was there a dog in the last 999999999999999999999999 hours",
        "at 77:99 was there a dog",
    ],
)  # fmt: skip
def test_nothing_that_is_typed_does_harm(kitchen: EventMemory, text: str) -> None:
    before = kitchen.snapshot()
    answer = asked(kitchen, text)
    assert answer.text.endswith((".", '"'))
    assert kitchen.snapshot() is before
    assert asked(kitchen, "was there a dog?").observed


_WORD = st.sampled_from(
    re.findall(
        r"\w+",
        "was is were did how many what who where when which colour there a the dog cup person red left right "
        "last first two minutes seconds ago in before after while said move 3 pm since between and or not",
    )
)


@settings(timeless, max_examples=60)
@given(st.lists(_WORD, max_size=9).map(" ".join) | st.text(max_size=40))
def test_no_order_of_words_raises(kitchen: EventMemory, text: str) -> None:
    answer = asked(kitchen, text)
    assert answer.text
    assert 0.0 <= answer.confidence <= 1.0
    assert all(one.until_ns == 0 or one.until_ns >= one.at_ns for one in answer.moments)


def test_a_thousand_questions_wait_their_turn(kitchen: EventMemory) -> None:
    texts = ("was there a dog?", "what was said", "where is the cup", "what happened", "unicorns?")
    snapshot = kitchen.snapshot()
    answers = [asked(kitchen, texts[k % 5], snapshot) for k in range(1000)]
    assert len({one.text for one in answers}) == 5
    assert answers[0] == answers[995]
