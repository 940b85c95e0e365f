"""From what the real classes tell to records: things, numbers, movements, zones, cuts, motion, commands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks._answer_scenes import PAINT, Script, Stay, drawn, frame_at, play
from perception.flow.moves import Moves
from perception.flow.value import Flow
from perception.qa.events.album import Album
from perception.qa.events.colours import colour_of, name_of
from perception.qa.events.memory import EventMemory
from perception.qa.events.records import Record
from perception.qa.events.sightings import Sightings
from perception.voice.command import Command
from perception.voice.wishes import Put
from perception.zones.config import WatchConfig
from perception.zones.watch import Watch
from realtime.core.clock import NS_PER_MS, NS_PER_S
from tests.perception.overlay.scenes import make_scene, make_things
from tests.perception.qa.events.asking import ANCHOR_NS, asked
from tests.vocabulary import make_stamp

BOX = [0.1, 0.1, 0.3, 0.3]


def seen(
    *times_s: float, ids: list[int] | None = None, boxes: Any = None, scores: Any = None
) -> list[Record]:
    """Return what becomes of a person that is told of at these times, and of silence after."""
    sightings = Sightings()
    found: list[Record] = []
    for k, time_s in enumerate(times_s):
        thing = {"id": ids[k] if ids else 7, "name": "Person", "score": scores[k] if scores else 0.8}
        thing["box"] = boxes[k] if boxes else BOX
        found += sightings.see([thing], round(time_s * NS_PER_S))
    end_ns = round((times_s[-1] + 0.1) * NS_PER_S)
    for step in range(40):
        found += sightings.see([], end_ns + step * NS_PER_S // 10)
    return [one for one in found if one.kind == "thing"]


STEADY = [k / 10 for k in range(20)]


@pytest.mark.parametrize(
    ("times_s", "more", "lasted"),
    [
        (STEADY, {}, [1.9]),
        ([0.0, 0.1], {}, []),  # a flicker
        ([0.0, 0.1, 0.2, 0.3], {}, []),  # not long enough
        (STEADY, {"scores": [0.41] * 20}, []),  # not sure enough
        ([0.0, 0.5, 1.0, 2.2, 2.7], {}, [2.7]),  # a gap that joins
        ([*STEADY, *[8 + one for one in STEADY]], {}, [1.9, 1.9]),  # two visits of one number
        (STEADY, {"ids": [1] * 10 + [2] * 10}, [1.9]),  # handed over to another number in the same place
    ],
)
def test_what_counts_as_there(times_s: list[float], more: dict[str, Any], lasted: list[float]) -> None:
    found = seen(*times_s, **more)
    assert [round(one.lasted_s, 1) for one in found] == lasted
    assert all(one.label == "person" for one in found)


def test_another_number_elsewhere_is_another_thing() -> None:
    boxes = [BOX] * 10 + [[0.7, 0.7, 0.9, 0.9]] * 10
    assert len(seen(*STEADY, ids=[1] * 10 + [2] * 10, boxes=boxes)) == 2


def test_a_broken_box_is_passed_over() -> None:
    assert Sightings().see([{"id": 1, "name": "cup", "score": 1.0, "box": [0, 0, float("nan"), 1]}], 0) == []


def test_the_tracker_s_own_scene_is_understood() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS, names=("person", "face", "car"))
    for step in range(30):
        at_ns = NS_PER_S + step * NS_PER_S // 10
        things = make_things(
            [[0.1, 0.1, 0.3, 0.4], [0.6, 0.5, 0.9, 0.8]], kinds=[0, 2], ids=[4, 9], at_ns=at_ns
        )
        memory.note(make_scene(things).told(at_ns), at_ns)
    assert "a person (in the upper left) and a car (on the right)" in asked(memory, "what is there").text
    assert "I did not see a face" in asked(memory, "was there a face").text
    assert "I cannot tell dogs" in asked(memory, "was there a dog").text


def test_zones_lines_and_kinds_are_told_of_once() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS, names=("person",))
    zone = {"name": "door", "points": [[0.3, 0.2], [0.7, 0.2], [0.7, 0.8], [0.3, 0.8]]}
    watch = Watch(WatchConfig(zones=[zone], settle_ms=200))
    for step, x in enumerate(np.linspace(0, 1, 60)):
        at_ns = NS_PER_S + step * NS_PER_S // 10
        things = make_things([[x - 0.05, 0.4, x + 0.05, 0.6]], at_ns=at_ns)
        happened = watch.update(things, at_ns)
        for one in happened:  # as app/telling.py does: on its own first, then in its scene
            memory.note({"type": "result", "node": "detect", **one}, at_ns)
        scene = {**make_scene(things).told(at_ns), "happened": list(happened)}
        memory.note(scene, at_ns)
    answer = asked(memory, "did anybody enter the door?")
    assert answer.observed
    assert "a person entered door" in answer.text
    assert [one.says for one in answer.moments if "entered" in one.says] == ["a person entered door"]
    assert not asked(memory, "did anybody enter the kitchen?").observed


def test_cuts_and_motion_are_told_of() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS, names=("person",))
    moves = Moves()
    zero = np.zeros((2, 2, 2), np.float32)
    for step in range(80):
        at_ns = NS_PER_S + step * NS_PER_S // 10
        happened = moves.update(at_ns, 0.3 if 20 <= step < 50 else 0.0, 0.0, 0.1, 0.1)
        happened += moves.cut(at_ns) if step == 60 else ()
        flow = Flow(make_stamp(step, captured_ns=at_ns), None, (64, 48), zero, zero, np.ones((2, 2), bool))
        event = {**flow.told(at_ns), "happened": [dict(one) for one in happened]}
        memory.note(event, at_ns)
        if step == 40:
            assert asked(memory, "did the camera move").text.startswith("The camera is moving now")
    assert "until 3 s ago, for 3 s" in asked(memory, "did the camera move").text
    assert "The scene was cut once, last 2 s ago" in asked(memory, "was there a cut?").text
    assert "no detector told me" in asked(memory, "was there a person").text


def test_a_cut_ends_what_was_there_and_a_moving_camera_moves_nothing() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    play(Script((Stay("cup", 1, 5),), cuts_s=(5,), lasts_s=5.5), memory)
    assert not asked(memory, "is there a cup").observed
    memory.note(
        {"type": "result", "what": "started moving", "who": "camera", "at_ns": 7 * NS_PER_S}, 7 * NS_PER_S
    )
    play(Script((Stay("cup", 0, 9, x=0.2, to_x=0.8, moves_s=2),), lasts_s=8), memory, begin_ns=8 * NS_PER_S)
    assert not asked(memory, "did the cup move").observed


def test_commands_and_settings_are_remembered() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    command = Command(
        "understood", "make it a watercolor", 0.8, 0.0, 1.0, Put("look", "watercolor"), 5 * NS_PER_S
    )
    memory.note(command.told(5 * NS_PER_S), 5 * NS_PER_S)
    memory.note({"type": "settings", "changes": {"paint.steps": 2}}, 6 * NS_PER_S)
    memory.note({"type": "command", "outcome": "not_understood", "text": "blub"}, 7 * NS_PER_S)
    memory.note({"type": "stats", "fps": 20}, 8 * NS_PER_S)
    text = asked(memory, "what did I change?").text
    assert 'somebody said "make it a watercolor"' in text.lower()
    assert "set paint.steps to 2" in text
    assert "blub" not in text


@pytest.mark.parametrize("name", PAINT)
@pytest.mark.parametrize("light", [0.75, 1.0, 1.15])
def test_a_colour_keeps_its_name_in_other_light(name: str, light: float) -> None:
    random = np.random.default_rng(0)
    picture = drawn([Stay("cup", 0, 1, 0.4, 0.6, name)], 0.0, random)
    lit = np.clip(picture * light, 0, 255).astype(np.uint8)
    found = colour_of(lit, (0.32, 0.52, 0.48, 0.68))
    assert found is not None
    assert found[0] == ("grey" if name == "white" and light < 1 else name)
    assert found[1] > 0.5


def test_what_is_behind_counts_less_than_what_is_before_it() -> None:
    picture = np.zeros((90, 90, 3), np.uint8)
    picture[:] = PAINT["green"]
    picture[30:60, 38:52] = PAINT["red"]  # a narrow thing that fills less than half of its box
    found = colour_of(picture, (0.28, 0.3, 0.72, 0.7))
    assert found is not None
    assert found[0] == "red"
    assert colour_of(picture, (0.5, 0.5, 0.505, 0.505)) is None


def test_colours_have_their_names() -> None:
    told = {"black": (10, 10, 12), "white": (250, 250, 248), "grey": (128, 128, 128), "brown": (101, 67, 33)}
    told |= {
        "pink": (255, 160, 190),
        "purple": (128, 0, 160),
        "blue": (70, 130, 200),
        "yellow": (250, 220, 50),
    }
    assert {name: name_of(*rgb) for name, rgb in told.items()} == {name: name for name in told}


def test_pictures_are_kept_of_moments_and_now_and_then() -> None:
    album = Album()
    kept: list[int] = []
    for step in range(1200):
        at_ns = step * 100 * NS_PER_MS
        if 500 <= step < 520:
            album.wish(at_ns)
        kept += [when_ns for when_ns, _ in album.see(frame_at(at_ns).pixels, at_ns)]
    seconds = [one / NS_PER_S for one in kept]
    assert seconds[:2] == [0.0, 30.0]
    assert [one for one in seconds if 49 < one < 53] == [50.0, 51.0, 52.0]  # twenty wishes: one a second
    assert len(seconds) == 7


def test_what_came_just_after_a_picture_is_shown_by_the_next_one() -> None:
    album, second = Album(), 10**9
    kept = album.see(np.zeros((48, 64, 3), np.uint8), 0)
    for tick in range(1, 20):
        if tick == 4:
            album.wish(tick * second // 10)
        kept += album.see(np.zeros((48, 64, 3), np.uint8), tick * second // 10)
    assert [when_ns for when_ns, _ in kept] == [0, second]
