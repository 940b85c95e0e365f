"""Zones and lines as they are typed: text, JSON, lists; and what is refused, with words that help."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from perception.zones.config import MAX_POINTS, MAX_ZONES, WatchConfig, lines_of, zones_of
from realtime.core.errors import ConfigError

SQUARE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.5]]


def test_the_short_form() -> None:
    door, yard = zones_of("door: 0.1,0.1 0.5,0.1 0.5,0.5 for person, traffic light;\n yard : .6,0 1,0 1,1e0;")
    assert (door.name, door.kinds) == ("door", ("person", "traffic light"))
    assert door.points == ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5))
    assert (yard.name, yard.kinds, yard.points[0]) == ("yard", (), (0.6, 0.0))
    (gate,) = lines_of("gate: 0.5,0 0.5,1 for car")
    assert (gate.begin, gate.end, gate.kinds) == ((0.5, 0.0), (0.5, 1.0), ("car",))


def test_json_and_lists_mean_the_same() -> None:
    zones: list[Any] = [{"name": "door", "points": SQUARE, "kinds": ["person"]}]
    lines: list[Any] = [{"name": "gate", "from": [0, 0], "to": [1, 1]}]
    typed = WatchConfig(zones=json.dumps(zones), lines=json.dumps(lines[0]), tell="person, car")
    listed = WatchConfig(zones=zones, lines=lines, tell=["person", "car"])  # type: ignore[arg-type]
    assert zones_of(typed.zones) == zones_of(listed.zones)
    assert lines_of(typed.lines) == lines_of(listed.lines)
    assert typed.tell == listed.tell
    again = WatchConfig.model_validate(listed.model_dump(mode="json"))
    assert again == listed
    assert WatchConfig(zones=[]).zones == WatchConfig().zones == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zones", "says"),
    [
        ([{"name": "bow", "points": [[0, 0], [1, 1], [1, 0], [0, 1]]}], "crosses itself: its sides 1 and 3"),
        ([{"name": "thin", "points": [[0, 0], [0.5, 0.5], [1, 1]]}], "holds next to nothing"),
        ([{"name": "two", "points": [[0, 0], [1, 1]]}], '"two" cannot be: points'),
        ([{"name": "far", "points": [[0, 0], [1, 0], [1, 1.5]]}], '"far" cannot be: points 3 2'),
        ([{"name": "x", "points": SQUARE, "colour": "red"}], "colour"),
        ([{"name": "", "points": SQUARE}], "name"),
        ([{"name": "a", "points": SQUARE}] * 2, 'Two zones are named "a"'),
        ([{"name": f"z{k}", "points": SQUARE} for k in range(MAX_ZONES + 1)], "17 zones, and 16"),
        ([{"name": "many", "points": [[k / 99, (k % 2) / 2] for k in range(MAX_POINTS + 1)]}], "32"),
        ('[{"name": "x",', "no JSON"),
        ("door 0.1,0.2", "says no zone"),
        ("door: 0.1,0.2 0.3 0.5,0.9", '"door" cannot be: points 2'),
        (["door"], "cannot be"),
        ([{"name": "nan", "points": [[0, 0], [1, 0], [float("nan"), 1]]}], "nan"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(zones: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WatchConfig(zones=zones)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("gate: 0.5,0.5 0.5,0.5", "too short"),
        ("gate: 0.5,0.5", "to"),
        ("gate: 0,0 1,1 0,1", "more"),
        ("a: 0,0 1,1; a: 0,1 1,0", 'Two lines are named "a"'),
    ],
)
def test_lines_that_cannot_be(lines: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lines_of(lines)
    assert says in str(caught.value)


def test_a_zone_that_touches_itself_at_a_corner_only_is_fine() -> None:
    assert zones_of(json.dumps([{"name": "whole", "points": [[0, 0], [1, 0], [1, 1], [0, 1]]}]))
