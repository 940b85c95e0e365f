"""What was told can be asked about; a snapshot stays what it was; several may ask while one writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from benchmarks._answer_scenes import Says, Script, Stay, frame_at, play
from perception.qa.base import QAEngine
from perception.qa.events.memory import EventMemory
from perception.qa.events.reading import Memory
from realtime.core.clock import NS_PER_S
from tests.perception.qa.events.asking import ANCHOR_NS, asked

KITCHEN = Script(
    stays=(
        Stay("cup", 5, 60, x=0.2, colour="red", to_x=0.8, moves_s=20),
        Stay("person", 2, 40, colour="blue", size=0.3),
        Stay("person", 10, 30, x=0.8, y=0.2, colour="green"),
        Stay("dog", 50, 58, x=0.2, y=0.8, colour="brown"),
        Stay("laptop", 55, 100, x=0.5, y=0.8, colour="black"),
    ),
    speech=(Says(12, "the train leaves at nine"), Says(40, "please do not forget the umbrella")),
    lasts_s=90,
)


@pytest.fixture(scope="module")
def kitchen() -> Iterator[EventMemory]:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    play(KITCHEN, memory)
    yield memory
    memory.close()


@pytest.mark.parametrize(
    ("text", "observed", "says"),
    [
        ("was there a dog?", True, "until 32 s ago, for 8 s, in the lower left"),
        ("Is there a dog?", False, "I do not see a dog now; I saw one last 32 s ago"),
        ("is there a laptop", True, "a laptop is there now"),
        ("was there a cat", False, "I did not see a cat"),
        ("was there a unicorn", False, "I cannot tell unicorns from other things"),
        ("was there a blue cup?", False, "the one that I saw was red"),
        ("How many people were there at the same time?", True, "I saw 2 people at the same time"),
        ("were there three people", False, "2 people at the same time at most, so not 3"),
        ("when did the dog leave?", True, "I saw a dog leave 32 s ago"),
        ("how long was the dog there", True, "for 8 s"),
        ("what colour was the cup", True, "The cup was red."),
        ("where did I put the cup?", True, "last 30 s ago, on the right; it is not in view any more"),
        ("where was the cup 80 seconds ago?", True, "the cup was on the left"),
        ("where is the laptop", True, "still in view, at the bottom"),
        ("what was said about trains", True, '"the train leaves at nine"'),
        ("did anybody mention bananas", False, 'I heard nobody say "bananas"'),
        ("which way did the cup go", True, "to the right, from the left to the right"),
        ("did the dog move", False, "did not see it move"),
        ("what happened before the dog appeared", True, "the umbrella"),
        ("who came after the dog left", False, "I did not see a person appear after a dog left"),
        ("was there a man with a hat", False, 'I cannot tell anything of "with hat"'),
        ("what will happen tomorrow", False, "what will be I do not know"),
        ("what is the meaning of life", False, "I do not understand that question"),
        ("what is happening now", True, "I see a black laptop (at the bottom) now"),
    ],
)
def test_questions_about_a_kitchen(kitchen: EventMemory, text: str, observed: bool, says: str) -> None:
    answer = asked(kitchen, text)
    assert says in answer.text
    assert answer.observed is observed
    assert answer.known_ns == NS_PER_S + round(89.9 * NS_PER_S)
    if observed:
        assert answer.moments
        assert 0.4 < answer.confidence <= 1.0


def test_a_moment_shows_its_thing(kitchen: EventMemory) -> None:
    (moment,) = asked(kitchen, "was there a dog?").moments
    assert moment.says == "a brown dog, lower left"
    assert abs(moment.at_ns - 51 * NS_PER_S) < NS_PER_S
    assert abs(moment.until_ns - 59 * NS_PER_S) < NS_PER_S
    assert moment.picture is not None
    jpeg = kitchen.picture(moment.picture)
    assert jpeg is not None
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    height, width = picture.shape[:2]
    assert width == 160
    red, _, blue = picture[round(0.8 * height), round(0.2 * width)].astype(int)
    assert red - blue > 40  # brown stands where the dog was
    assert kitchen.picture(10**9) is None


def test_nothing_came_yet() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    answer = asked(memory, "was there a dog?")
    assert answer.text.startswith("Nothing has come yet")
    assert (answer.known_ns, answer.observed, answer.moments) == (0, False, ())


def test_it_is_an_engine() -> None:
    engine: QAEngine[Memory] = EventMemory(anchor_ns=ANCHOR_NS)
    assert engine.card.kind == "event memory"
    engine.close()
    engine.close()


def test_a_snapshot_is_not_changed_by_what_comes_later() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    end_ns = play(Script((Stay("cup", 1, 20, x=0.2),), lasts_s=8), memory)
    before = memory.snapshot()
    texts = (
        "is there a cup",
        "where is the cup",
        "how many people were there",
        "what happened",
        "what was said",
    )
    answers = [asked(memory, text, before) for text in texts]
    play(
        Script((Stay("cup", 0, 3, x=0.8), Stay("person", 1, 9)), (Says(4, "hello"),), lasts_s=12),
        memory,
        begin_ns=end_ns + NS_PER_S // 10,
    )
    assert [asked(memory, text, before) for text in texts] == answers
    assert "for 7 s" in answers[0].text
    assert [asked(memory, text).text for text in texts] != [one.text for one in answers]


def test_a_snapshot_costs_less_than_a_millisecond(kitchen: EventMemory) -> None:
    begin = time.perf_counter()
    for _ in range(1000):
        kitchen.snapshot()
    assert time.perf_counter() - begin < 1.0


def test_eight_ask_while_one_writes() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    end_ns = play(Script((Stay("cup", 1, 5),), lasts_s=8), memory)
    wrong: list[str] = []
    counted = [0] * 8

    def ask(who: int) -> None:
        for k in range(125):
            text = ("was there a cup?", "what was said", "how many people were there", "what happened")[k % 4]
            try:
                answer = asked(memory, text)
                if text == "was there a cup?" and not answer.observed:
                    wrong.append(answer.text)
            except Exception as error:
                wrong.append(repr(error))
            counted[who] += 1

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    script = Script((Stay("person", 1, 5),), tuple(Says(k, f"word {k}") for k in range(1, 14)), lasts_s=14)
    play(script, memory, begin_ns=end_ns)
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert sum(counted) == 1000
    memory.push_frame(frame_at(10**12))
    memory.close()


def test_what_a_detector_can_tell_apart_is_known_or_asked_for() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    things = [{"id": 1, "name": "Widget", "score": 0.9, "box": [0.1, 0.1, 0.3, 0.3]}]
    for step in range(10):
        told = {"type": "seen", "detector": "hub:somebody/something", "things": things}
        memory.note(told, NS_PER_S + step * NS_PER_S // 10)
    assert asked(memory, "how many widgets are there").text == "I see 1 widget now."
    assert (
        "I do not know whether what looks at the pictures can tell dogs"
        in asked(memory, "was there a dog").text
    )
    memory.can_tell(("Widget", "Gadget"))
    assert asked(memory, "was there a dog").text.startswith("I cannot tell dogs")
    assert asked(memory, "was there a gadget").text.startswith("I did not see a gadget")


def test_a_detector_of_faces_knows_people_by_their_faces() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    things = [{"id": 1, "name": "face", "score": 0.9, "box": [0.1, 0.1, 0.3, 0.3]}]
    for step in range(10):
        told = {"type": "seen", "detector": "blazeface", "things": things}
        memory.note(told, NS_PER_S + step * NS_PER_S // 10)
    assert asked(memory, "is anybody there?").text.startswith("Yes, a face is there now")
    assert asked(memory, "how many people are there").text == "I see 1 face now."
    assert asked(memory, "was there a dog").text.startswith("I cannot tell dogs")
