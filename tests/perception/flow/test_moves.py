"""Starting, stopping and cuts are told once, with the time at which they began, and flicker is not told."""

from __future__ import annotations

from perception.flow.moves import Moves
from perception.flow.value import Flow
from realtime.core.clock import NS_PER_S
from tests.perception.flow.views import opened, view, wall, watched, with_thing

WALL, OTHER = wall(0), wall(1)


def frame_ns(k: int) -> int:
    return round(k * NS_PER_S / 30)


def told(flows: list[Flow]) -> list[tuple[int, str, str]]:
    """Return for each event the picture at which it began, who, and what."""
    return [
        (round(one["at_ns"] * 30 / NS_PER_S), one.get("who", ""), one["what"])
        for flow in flows
        for one in flow.happened
    ]


def test_a_camera_that_pans_for_a_while_starts_once_and_stops_once() -> None:
    places = [50.0] * 8 + [50.0 + 3 * k for k in range(1, 20)] + [107.0] * 30
    flows = watched(opened(), [view(WALL, x) for x in places])
    assert told(flows) == [(8, "camera", "started moving"), (27, "camera", "stopped moving")]
    assert flows[20].camera_moves
    assert not flows[20].things_move
    assert not flows[-1].camera_moves


def test_a_thing_that_moves_before_a_still_camera_is_something() -> None:
    still = view(WALL, 50)
    lefts = [40] * 8 + [40 + 4 * k for k in range(1, 16)] + [100] * 30
    flows = watched(opened(), [with_thing(still, OTHER, left) for left in lefts])
    assert told(flows) == [(8, "things", "started moving"), (23, "things", "stopped moving")]
    assert not flows[15].camera_moves


def test_jolts_and_short_rests_are_not_told() -> None:
    moves = Moves()
    for k in range(60):
        assert moves.update(frame_ns(k), 1.0 if k % 4 < 2 else 0.0, 0.0, 0.05, 0.04) == ()
    for k in range(60, 70):
        moves.update(frame_ns(k), 1.0, 0.0, 0.05, 0.04)
    assert moves.camera.is_on
    for k in range(70, 130):
        assert moves.update(frame_ns(k), 0.0 if k % 12 < 8 else 1.0, 0.0, 0.05, 0.04) == ()
    assert moves.camera.is_on


def test_between_motion_and_rest_all_stays_as_it_is() -> None:
    moves = Moves()
    for k in range(60):
        assert moves.update(frame_ns(k), 0.04, 0.0, 0.05, 0.04) == ()
    for k in range(60, 80):
        moves.update(frame_ns(k), 0.06, 0.0, 0.05, 0.04)
    assert moves.camera.is_on
    for k in range(80, 140):
        assert moves.update(frame_ns(k), 0.03, 0.0, 0.05, 0.04) == ()


def test_an_unknown_camera_neither_starts_nor_stops() -> None:
    moves = Moves()
    for k in range(20):
        moves.update(frame_ns(k), 1.0, 0.0, 0.05, 0.04)
    for k in range(20, 80):
        assert moves.update(frame_ns(k), None, 0.0, 0.05, 0.04) == ()
    assert moves.camera.is_on


def test_a_flickering_film_is_one_cut() -> None:
    moves = Moves()
    counts = [len(moves.cut(frame_ns(k))) for k in (0, 3, 6, 9, 40)]
    assert counts == [1, 0, 0, 0, 1]
