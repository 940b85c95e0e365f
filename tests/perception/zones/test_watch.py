"""A way through a zone says "entered" and "left" once each, and counts at a line are the truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.scene import Things
from perception.zones.config import WatchConfig
from perception.zones.watch import Event, Watch
from realtime.core.clock import NS_PER_MS
from tests.perception.overlay.scenes import make_things
from tests.vocabulary import timeless

STEP_MS = 40
quick = settings(timeless, max_examples=30)
DOOR = {"name": "door", "points": [[0.3, 0.2], [0.7, 0.2], [0.7, 0.8], [0.3, 0.8]]}
GATE = {"name": "gate", "from": [0.5, 0.2], "to": [0.5, 0.8]}


def at(*places: tuple[float, float], ids: Sequence[int] | None = None, kind: int = 0) -> Things:
    boxes = [(x - 0.05, y - 0.1, x + 0.05, y + 0.1) for x, y in places]
    return make_things(boxes, ids=ids, kinds=[kind] * len(boxes))


NOBODY = make_things([])


def walked(watch: Watch, steps: Sequence[Things], first: int = 0) -> list[Event]:
    return [
        event
        for k, things in enumerate(steps, first)
        for event in watch.update(things, k * STEP_MS * NS_PER_MS)
    ]


def watching(**config: Any) -> Watch:
    return Watch(WatchConfig(**config))


def whats(events: Sequence[Event]) -> list[str]:
    return [event["what"] for event in events]


def test_a_way_through_a_zone() -> None:
    watch = watching(zones=[DOOR])
    events = walked(watch, [at((x, 0.5)) for x in np.linspace(0, 1, 60)])
    assert whats(events) == ["entered", "left"]
    entered, left = events
    assert (entered["zone"], entered["id"], entered["name"]) == ("door", 0, "person")
    assert entered["says"] == "a person entered door"
    assert left["says"] == "a person left door"
    # the times are those at which it happened, not when it was sure of it
    assert entered["at_ns"] / NS_PER_MS / STEP_MS == np.ceil(0.31 * 59)
    assert left["at_ns"] / NS_PER_MS / STEP_MS == np.ceil(0.71 * 59)


@quick
@given(
    seed=st.integers(0, 2**32 - 1),
    rest=st.integers(0, 30),
    where=st.sampled_from([0.3, 0.7]),
    settle_ms=st.sampled_from([0, 250]),
)
def test_noise_within_the_border_says_nothing_twice(
    seed: int, rest: int, where: float, settle_ms: float
) -> None:
    way = [*np.linspace(0, 1, 60)]
    near = int(np.argmin(np.abs(np.array(way) - where)))
    way[near:near] = [where] * rest  # it stands right on the border
    noise = np.random.default_rng(seed).uniform(-0.0099, 0.0099, len(way))
    steps = [at((x + shake, 0.5)) for x, shake in zip(way, noise, strict=True)]
    watch = watching(zones=[DOOR], watch_border=0.01, settle_ms=settle_ms)
    assert whats(walked(watch, steps)) == ["entered", "left"]


@quick
@given(jumps=st.lists(st.tuples(st.integers(0, 99), st.integers(1, 3)), max_size=6), data=st.data())
def test_jumps_shorter_than_the_time_to_settle_say_nothing(
    jumps: list[tuple[int, int]], data: st.DataObject
) -> None:
    inside = [k for k in range(110) if 30 <= k < 80]
    way = [0.5 if k in inside else 0.1 for k in range(110)]
    for begin, count in jumps:  # at most 3 steps of 40 ms, well away from each other and from the ends
        begin = begin - begin % 12
        if {29, 79} & set(range(begin - 8, begin + count + 8)):
            continue
        for k in range(begin, min(begin + count, 110)):
            way[k] = data.draw(st.floats(0, 1))
    watch = watching(zones=[DOOR], settle_ms=200)
    assert whats(walked(watch, [at((x, 0.5)) for x in way])) == ["entered", "left"]


def test_who_vanishes_inside_has_left_after_patience() -> None:
    watch = watching(zones=[DOOR], patience_ms=400)
    events = walked(watch, [at((0.5, 0.5))] * 20 + [NOBODY] * 8)
    assert whats(events) == ["entered"]
    assert watch.places()[0].inside == 1
    events = walked(watch, [NOBODY] * 8, 28)
    assert whats(events) == ["left"]
    assert events[0]["at_ns"] == 19 * STEP_MS * NS_PER_MS
    assert watch.places()[0].inside == 0


def test_who_is_lost_for_a_moment_has_not_left() -> None:
    steps = [NOBODY if k % 5 == 4 else at((0.5, 0.5)) for k in range(60)]
    assert whats(walked(watching(zones=[DOOR]), steps)) == ["entered"]


def test_a_flicker_inside_is_nobody() -> None:
    steps = [at((0.5, 0.5)) if k % 12 == 0 else NOBODY for k in range(60)]
    assert walked(watching(zones=[DOOR]), steps) == []


def test_a_slow_detector_is_heard_too() -> None:
    watch = watching(zones=[DOOR], settle_ms=100)
    events = [e for k in range(4) for e in watch.update(at((0.5, 0.5)), k * 700 * NS_PER_MS)]
    assert whats(events) == ["entered"]


def test_kinds_and_points_choose_what_counts() -> None:
    only = watching(zones=[{**DOOR, "kinds": ["Car"]}])
    assert walked(only, [at((0.5, 0.5))] * 20) == []
    assert whats(walked(only, [at((0.5, 0.5), kind=2)] * 20, 20)) == ["entered"]
    foot = watching(zones=[DOOR], watch_point="foot")
    assert walked(foot, [at((0.5, 0.75))] * 20) == []  # its foot is at 0.85, below the zone


def test_a_thing_at_the_corner_of_a_bent_zone() -> None:
    bent = {"name": "L", "points": [[0, 0], [0.9, 0], [0.9, 0.3], [0.3, 0.3], [0.3, 0.9], [0, 0.9]]}
    watch = watching(zones=[bent])
    assert walked(watch, [at((0.5, 0.5))] * 20) == []
    assert whats(walked(watch, [at((0.15, 0.8))] * 20, 20)) == ["entered"]


@quick
@given(
    turns=st.lists(st.sampled_from([0.1, 0.9]), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    heights=st.lists(st.floats(0.3, 0.7), min_size=7, max_size=7),
    settle_ms=st.sampled_from([0, 250]),
)
def test_a_line_counts_the_truth(
    turns: list[float], seed: int, heights: list[float], settle_ms: float
) -> None:
    way, here = [], (0.1, heights[0])
    for goal_x, goal_y in zip(turns, heights[1:], strict=False):
        path = [tuple(p) for p in np.linspace(here, (goal_x, goal_y), 20)]
        stop = [(0.5, (here[1] + goal_y) / 2)] * 10 if goal_x != here[0] else []  # upon the line itself
        way += path[:10] + stop + path[10:] + [(goal_x, goal_y)] * 10
        here = (goal_x, goal_y)
    noise = np.random.default_rng(seed).uniform(-0.0095, 0.0095, len(way))
    steps = [at((x + shake, y)) for (x, y), shake in zip(way, noise, strict=True)]
    places = [0.1, *turns]
    right_to_left = sum(a > b for a, b in pairwise(places))
    left_to_right = sum(a < b for a, b in pairwise(places))
    watch = watching(lines=[GATE], settle_ms=settle_ms)
    events = walked(watch, steps)
    # walking down the line, the right hand is at the picture's left
    assert watch.places()[0].counts == {"in": right_to_left, "out": left_to_right}
    assert len(events) == right_to_left + left_to_right
    if events:
        assert events[-1]["counts"] == watch.places()[0].counts


def test_who_goes_round_the_end_of_a_line_has_not_crossed_it() -> None:
    round_it = [(0.4, 0.5), (0.4, 0.9), (0.6, 0.9), (0.6, 0.5)]
    steps = [at(place) for place in round_it for _ in range(10)]
    assert walked(watching(lines=[GATE]), steps) == []
    back = [*steps, *[at((0.4, 0.5))] * 10]  # and now through it
    assert [e["direction"] for e in walked(watching(lines=[GATE]), back)] == ["in"]


def test_a_crossing_just_before_the_end_of_sight_counts() -> None:
    watch = watching(lines=[GATE], settle_ms=500)
    steps = [at((x, 0.5)) for x in (0.40, 0.44, 0.48, 0.52, 0.56)] + [NOBODY] * 40
    events = walked(watch, steps)
    assert [(e["what"], e["direction"], e["says"]) for e in events] == [
        ("crossed", "out", "a person crossed gate, going out")
    ]


def test_several_things_are_counted_each_for_itself() -> None:
    watch = watching(lines=[GATE])
    steps = [at((x, 0.4), (1 - x, 0.6), ids=[7, 9]) for x in np.linspace(0.1, 0.9, 40)]
    assert sorted((e["id"], e["direction"]) for e in walked(watch, steps)) == [(7, "out"), (9, "in")]


def test_tell_when_somebody_appears_and_is_gone() -> None:
    watch = watching(tell="person")
    events = walked(watch, [NOBODY] * 5 + [at((0.5, 0.5))] * 20 + [NOBODY] * 40)
    assert whats(events) == ["appeared", "gone"]
    assert events[0]["says"] == "a person appeared"
    assert events[0]["at_ns"] == 5 * STEP_MS * NS_PER_MS
    assert events[1]["at_ns"] == 24 * STEP_MS * NS_PER_MS


@quick
@given(seen=st.lists(st.booleans(), max_size=80))
def test_a_flicker_appears_only_if_it_lasts(seen: list[bool]) -> None:
    steps = [at((0.5, 0.5), ids=[k]) if one else NOBODY for k, one in enumerate(seen)]
    longest = max((len(run) for run in "".join("x" if s else " " for s in seen).split()), default=0)
    events = walked(watching(tell=["person"], settle_ms=200), steps)
    assert ("appeared" in whats(events)) == ((longest - 1) * STEP_MS >= 200)


@quick
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_as_many_are_told_of_as_there_are(counts: list[int]) -> None:
    watch, steps, fresh = watching(tell="person"), [], 0
    for count in counts:  # each stay is long enough, and all have new numbers every time
        places = [(0.1 + 0.2 * k, 0.5) for k in range(count)]
        steps += [at(*places, ids=range(fresh, fresh + count))] * 40
        fresh += count
    ups = sum(max(b - a, 0) for a, b in pairwise([0, *counts]))
    downs = sum(max(a - b, 0) for a, b in pairwise([0, *counts]))
    events = walked(watch, steps)
    assert (whats(events).count("appeared"), whats(events).count("gone")) == (ups, downs)
    assert not events or events[-1]["count"] == counts[-1]


def test_settings_may_change_while_it_watches() -> None:
    watch = watching(zones=[DOOR], lines=[GATE])
    walked(watch, [at((0.4, 0.5))] * 20)
    watch.configure(WatchConfig(zones=[DOOR, {**DOOR, "name": "same"}], tell="person"))
    events = walked(watch, [at((0.4, 0.5))] * 20, 20)
    assert [(e["what"], e.get("zone")) for e in events] == [("entered", "same"), ("appeared", None)]
    watch.reset()
    assert watch.places()[0].inside == 0
    assert not watch.is_idle
    assert Watch().is_idle


def test_many_things_none_and_what_is_not_a_number() -> None:
    watch = watching(zones=[DOOR], lines=[GATE], tell="person")
    random = np.random.default_rng(0)
    for k in range(10):
        watch.update(at(*random.uniform(0, 1, (500, 2)).tolist()), k * NS_PER_MS)
    bad = make_things([(np.nan, 0, 1, 1)])
    assert watch.update(bad, 20 * NS_PER_MS) == ()
    assert watching(zones=[DOOR]).update(NOBODY, 0) == ()


def test_kinds_that_no_detector_knows_are_named() -> None:
    watch = watching(zones=[{**DOOR, "kinds": ["person", "unicorn"]}], tell="ghost")
    assert watch.unknown(("person", "car")) == ("ghost", "unicorn")
