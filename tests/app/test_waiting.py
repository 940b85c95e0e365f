"""The waiting room: places in the order of tickets, and none kept for those who have gone."""

from __future__ import annotations

import itertools

import pytest

from app.waiting import SILENT_S, Ticket, WaitingRoom
from realtime.core.clock import ManualClock
from tests.app.test_server import PATTERN, is_told, serving
from tests.app.test_visitors import HTML, other_at


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def room(clock: ManualClock) -> WaitingRoom:
    numbers = itertools.count(1)
    return WaitingRoom(room=3, turn_s=30, clock=clock, make_id=lambda: f"t{next(numbers)}")


def entered(room: WaitingRoom, visitor: str, free: int = 0) -> Ticket:
    ticket = room.enter(visitor, visitor, free)
    assert ticket is not None
    return ticket


def test_places_are_given_in_the_order_of_tickets(room: WaitingRoom) -> None:
    first, second = entered(room, "anna"), entered(room, "bert")
    assert [room.look(one).place for one in (first, second)] == [1, 2]
    assert room.look(second).of == 2
    assert not room.look(first).is_turn
    assert not room.admits("t1", free=0)
    assert room.admits("t1", free=1)
    assert not room.admits("t2", free=1)
    assert not room.admits("", free=1)  # who comes later waits behind them
    assert room.look(first).is_turn
    room.leave("t1")
    assert room.admits("t2", free=1)
    assert not room.admits("", free=1)
    assert room.admits("", free=2)


def test_who_stops_asking_has_gone(room: WaitingRoom, clock: ManualClock) -> None:
    _, second = entered(room, "anna"), entered(room, "bert")
    clock.advance(ms=SILENT_S * 1000)
    room.look(second)
    clock.advance(ms=1)
    assert room.find("t1", free=0) is None
    assert room.look(second).place == 1


def test_a_turn_ends(room: WaitingRoom, clock: ManualClock) -> None:
    first, second = entered(room, "anna"), entered(room, "bert")
    assert room.find("t1", free=1) is first
    for step in range(3):
        clock.advance(ms=10_000)
        assert room.look(first).turn_ends_s == 20 - 10 * step
        assert not room.look(second).is_turn
    clock.advance(ms=1)
    assert room.find("t1", free=1) is None
    assert room.look(second).is_turn


def test_a_place_that_was_taken_back_is_no_turn_any_more(room: WaitingRoom) -> None:
    first = entered(room, "anna", free=1)
    assert room.look(first).is_turn
    room.find("t1", free=0)
    assert not room.look(first).is_turn


def test_a_full_room_takes_no_more(room: WaitingRoom) -> None:
    for visitor in ("anna", "bert", "anna"):
        entered(room, visitor)
    assert room.enter("cora", "cora", 0) is None
    assert room.count("anna") == 2
    assert room.count("anna", without="t3") == 1


async def test_one_waits_and_goes_on_when_it_is_one_s_turn() -> None:
    async with (
        serving(address="10.0.0.7", server__max_sessions=1, server__max_sessions_per_visitor=1) as anna,
        other_at(anna) as bert,
        other_at(anna) as cora,
    ):
        for browser in (anna, bert, cora):
            await browser.get("/healthz", headers=HTML)
        one = (await anna.post("/api/sessions", json=PATTERN)).json()["id"]
        first = await bert.post("/api/sessions", json=PATTERN)
        assert first.status_code == 202
        assert int(first.headers["retry-after"]) == 2
        ticket = first.json()["ticket"]
        assert first.json() == {"ticket": ticket, "place": 1, "of": 1, "is_turn": False, "retry_after_s": 2}
        second = (await cora.post("/api/sessions", json=PATTERN)).json()
        assert (second["place"], second["of"]) == (2, 2)
        is_told(await cora.post("/api/sessions", json=PATTERN), 429, "You have 1 session already")
        early = await cora.post("/api/sessions", json={**PATTERN, "ticket": second["ticket"]})
        assert (early.status_code, early.json()["place"]) == (202, 2)
        is_told(await cora.get(f"/api/tickets/{ticket}"), 404, "given up")  # somebody else's
        await anna.delete(f"/api/sessions/{one}")
        assert (await anna.post("/api/sessions", json=PATTERN)).json()["place"] == 3
        seen = (await bert.get(f"/api/tickets/{ticket}")).json()
        assert seen["is_turn"]
        assert 0 < seen["turn_ends_s"] <= 70
        assert not (await cora.get(f"/api/tickets/{second['ticket']}")).json()["is_turn"]
        made = await bert.post("/api/sessions", json={**PATTERN, "ticket": ticket})
        assert made.status_code == 201
        is_told(await bert.get(f"/api/tickets/{ticket}"), 404, "given up")  # it was used
        assert (await cora.get(f"/api/tickets/{second['ticket']}")).json()["place"] == 1
        assert (await cora.post(f"/api/tickets/{second['ticket']}/close")).status_code == 204
        is_told(await cora.get(f"/api/tickets/{second['ticket']}"), 404)
        assert (await cora.post("/api/tickets/none/close")).status_code == 204


async def test_a_full_waiting_room_is_busy() -> None:
    async with serving(server__max_sessions=1, server__max_waiting=1) as http:
        for status in (201, 202, 503):
            assert (await http.post("/api/sessions", json=PATTERN)).status_code == status
