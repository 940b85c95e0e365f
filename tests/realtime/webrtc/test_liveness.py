"""A client that has gone is noticed in seconds; one that lives is left alone."""

from __future__ import annotations

import asyncio
import json

import pytest

from realtime.core.channel import Channel
from realtime.core.clock import ManualClock
from realtime.core.frame import Frame
from realtime.link import Ends
from realtime.webrtc.liveness import SENDER_SILENT_S, SPEAKER_SILENT_S, Liveness
from realtime.webrtc.peer import Peer
from tests.realtime.webrtc.client import Client, NumberedCamera


def seconds(clock: ManualClock, count: float) -> None:
    clock.advance(ms=1000 * count)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_silence_means_nothing_before_the_first_word(clock: ManualClock) -> None:
    live = Liveness(clock)
    live.count(10, 0)
    seconds(clock, 1000)
    assert not live.is_gone()


def test_a_client_that_pinged_is_gone_after_some_seconds(clock: ManualClock) -> None:
    live = Liveness(clock)
    live.ping()
    seconds(clock, SPEAKER_SILENT_S)
    assert not live.is_gone()
    seconds(clock, 0.1)
    assert live.is_gone()
    live.ping()
    assert not live.is_gone()


def test_pictures_or_reports_are_as_good_as_pings(clock: ManualClock) -> None:
    live = Liveness(clock)
    live.ping()
    for packets in range(1, 11):
        seconds(clock, 4)
        live.count(packets, 0)
        assert not live.is_gone()
    seconds(clock, 4)
    live.count(10, 0)  # none came since
    assert not live.is_gone()
    seconds(clock, 4)
    live.count(10, 0)
    assert live.is_gone()


def test_one_that_only_sends_has_longer(clock: ManualClock) -> None:
    live = Liveness(clock)
    live.count(5, 1)
    seconds(clock, SPEAKER_SILENT_S + 1)
    assert not live.is_gone()
    seconds(clock, SENDER_SILENT_S)
    assert live.is_gone()


async def test_a_ping_is_answered_and_handed_on() -> None:
    heard: list[dict[str, object]] = []
    client = Client(NumberedCamera())
    peer = Peer(Ends(on_message=heard.append))
    await client.connect(peer)
    await client.control_open()
    client.control.send(json.dumps({"type": "ping", "sent_ms": 42}))  # type: ignore[union-attr]
    await client.until(lambda: {"type": "pong", "sent_ms": 42} in client.messages)
    assert heard == [{"type": "ping", "sent_ms": 42}]
    await client.close()
    await peer.close()


async def test_a_client_that_vanishes_is_dropped_within_seconds() -> None:
    """Its process is not ended but struck dumb: all of its sockets throw away what they should send."""
    states: list[str] = []
    closed = asyncio.Event()
    painted: Channel[Frame] = Channel("painted")

    def follow(state: str) -> None:
        states.append(state)
        if state == "closed":
            closed.set()

    client = Client(NumberedCamera())
    peer = Peer(Ends(painted=painted, on_message=lambda message: None, on_state=follow))
    await client.connect(peer)
    await client.control_open()
    client.control.send(json.dumps({"type": "ping"}))  # type: ignore[union-attr]
    await client.until(lambda: client.messages)
    assert states[-1] == "connected"
    for transceiver in client.pc.getTransceivers():
        for protocol in transceiver.receiver.transport.transport._connection._protocols:
            protocol.transport.sendto = lambda *_: None
    begin_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(SPEAKER_SILENT_S + 5):
        await closed.wait()
    took_s = asyncio.get_running_loop().time() - begin_s
    assert "failed" in states
    assert SPEAKER_SILENT_S - 0.5 < took_s < SPEAKER_SILENT_S + 3
    await client.close()
