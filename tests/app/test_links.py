"""Links of one session: they come and go, and pictures in come from one at a time."""

from __future__ import annotations

from typing import Any

import pytest

from app.links import Held, Links
from realtime.core.channel import Channel
from realtime.core.clock import ManualClock
from realtime.core.frame import Frame
from realtime.link import Ends, LinkStats, Role
from tests.vocabulary import make_frame


class Wire:
    """A link that carries nothing."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.state = "new"

    def send(self, event: dict[str, Any]) -> None: ...

    def resize(self, size_px: int | None) -> None: ...

    def stats(self) -> LinkStats:
        return LinkStats(self.state)

    async def close(self) -> None: ...


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def links(clock: ManualClock) -> Links:
    return Links("one", clock, lambda held, state: None)


def joined(links: Links, role: Role = Role.MAIN, path: str = "webrtc", seen: list[int] | None = None) -> Ends:
    def take(frame: Frame) -> None:
        if seen is not None:
            seen.append(frame.stamp.seq)

    ends = links.ends(role, path, painted=Channel("painted"), on_frame=take, on_message=lambda message: None)
    links.join(ends, Wire(path))
    return ends


def turn(ends: Ends, state: str) -> None:
    assert ends.on_state is not None
    ends.on_state(state)


def give(ends: Ends, seq: int) -> None:
    assert ends.on_frame is not None
    ends.on_frame(make_frame(seq))


def test_pictures_come_from_the_link_that_connected_last(links: Links) -> None:
    seen: list[int] = []
    socket, webrtc = joined(links, path="websocket", seen=seen), joined(links, seen=seen)
    give(socket, 0)  # not connected yet
    turn(socket, "connected")
    give(socket, 1)
    turn(webrtc, "connected")
    give(socket, 2)
    give(webrtc, 3)
    turn(webrtc, "failed")
    give(webrtc, 4)
    give(socket, 5)
    assert seen == [1, 3, 5]


def test_a_viewer_takes_no_turn_and_gives_nothing(links: Links) -> None:
    seen: list[int] = []
    page = joined(links, seen=seen)
    turn(page, "connected")
    viewer = joined(links, Role.VIEW, "whep", seen)
    turn(viewer, "connected")
    assert viewer.on_frame is viewer.on_message is None
    give(page, 7)
    assert seen == [7]
    assert links.main is not None
    assert links.main.name == page.name
    publisher = joined(links, Role.PUBLISH, "whip")
    assert publisher.on_message is None
    assert publisher.on_frame is not None


def test_the_time_of_loss_is_that_of_the_last_connected_link(links: Links, clock: ManualClock) -> None:
    first, second = joined(links), joined(links, Role.VIEW, "whep")
    turn(first, "failed")
    assert links.has_failed
    assert links.lost_ns is None  # none was ever connected
    third = joined(links)
    turn(third, "connected")
    turn(second, "connected")
    turn(third, "closed")
    assert links.lost_ns is None
    clock.advance(ms=5)
    turn(second, "closed")
    assert links.lost_ns == clock.now_ns()
    turn(joined(links), "connected")
    assert links.lost_ns is None


def test_a_link_that_ended_keeps_nothing_open(links: Links) -> None:
    ends = joined(links)
    assert ends.painted is not None
    turn(ends, "closed")
    assert ends.painted.closed
    turn(ends, "connected")  # too late to count
    assert not links.was_connected
    assert list(links) == []
    given_up = links.ends(Role.MAIN, "webrtc", painted=Channel("painted"), on_frame=None, on_message=None)
    links.forget(given_up)
    assert given_up.painted is not None
    assert given_up.painted.closed
    late = links.join(given_up, Wire("webrtc"))
    assert late.state == "closed"


def test_a_client_that_comes_back_leaves_its_older_link(clock: ManualClock) -> None:
    left: list[str] = []

    def follow(held: Held, state: str) -> None:
        if state == "connected":
            left.extend(one.path for one in links.replaced_by(held))

    links = Links("one", clock, follow)
    for path, role in (
        ("websocket", Role.MAIN),
        ("webrtc", Role.MAIN),
        ("whep", Role.VIEW),
        ("whep", Role.VIEW),
    ):
        turn(joined(links, role, path), "connected")
    assert left == []  # the other path may stay, and viewers are others
    turn(joined(links), "connected")
    assert left == ["webrtc"]
    turn(joined(links, Role.PUBLISH, "whip"), "connected")
    turn(joined(links, Role.PUBLISH, "whip"), "connected")
    assert left == ["webrtc", "whip"]  # a publisher that comes back leaves its older one too
