"""Ways through NAT: URLs, logins, ports, announced addresses, and why a TURN server refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import socket

import aioice.ice
import aioice.stun as stun
import pytest
from aiortc import RTCIceTransportPolicy

from realtime.core.errors import ConfigError, SessionError
from realtime.core.frame import Frame
from realtime.link import Ends
from realtime.webrtc.ice import (
    Ice,
    IceServer,
    NoWay,
    announced,
    can_ask,
    candidate_types,
    check_address,
    check_url,
    choose,
    read_ports,
    turn_login,
)
from realtime.webrtc.peer import Peer
from realtime.webrtc.ports import hold_to, is_as_read, reason
from realtime.webrtc.trickle import MAX_CANDIDATES
from realtime.webrtc.ways import configuration
from tests.realtime.webrtc.client import Client, NumberedCamera

NOBODY = "turn:127.0.0.1:9?transport=tcp"
"""A port on which nobody listens: refused at once."""


@pytest.mark.parametrize(
    "url",
    ["stun:a.example", "stun:a.example:3478", "stuns:a:5349", "turn:a", "turn:[::1]:3478?transport=tcp",
     "turns:a.example:443?transport=tcp"],
)  # fmt: skip
def test_urls_that_can_be_read(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "http://a", "stun:", "turn:a:0", "turn:a:99999", "stun:a?transport=udp", "turn:a?transport=sctp", "turn://a"],
)  # fmt: skip
def test_urls_that_cannot(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_url(url)
    assert "turn:host:3478" in refused.value.hint


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as refused:
        check_url("turn:me:swordfish@a.example")
    assert "swordfish" not in str(refused.value)


def test_one_of_each_kind_is_asked_and_the_others_are_named() -> None:
    urls = ["stuns:s:1", "stun:a", "turns:t?transport=udp", "turn:b", "stun:c", "turns:d"]
    asked, others = choose(urls)
    assert asked == ["stun:a", "turn:b"]
    assert others == ["stuns:s:1", "turns:t?transport=udp", "stun:c", "turns:d"]
    assert not can_ask("nonsense")
    servers = [IceServer(url, "u", "p") if url.startswith("turn") else IceServer(url) for url in urls]
    made = configuration(Ice(tuple(servers), relay_only=True))
    assert [(one.urls, one.username) for one in made.iceServers] == [("stun:a", None), ("turn:b", "u")]
    assert made.iceTransportPolicy is RTCIceTransportPolicy.RELAY


def test_a_login_is_what_coturn_computes() -> None:
    username, password = turn_login("secret", "abc", now_s=1000.9, ttl_s=600)
    assert username == "1600:abc"
    wanted = hmac.new(b"secret", b"1600:abc", hashlib.sha1).digest()
    assert base64.b64decode(password) == wanted
    assert "secret" not in repr(IceServer("turn:a", username, "secret"))


@pytest.mark.parametrize("text", ["1", "50000-", "80-90", "50100-50000", "50000-70000", "a-b"])
def test_ports_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError):
        read_ports(text)


def test_ports_and_addresses() -> None:
    assert read_ports("") is None
    assert read_ports("50000-50100") == range(50_000, 50_101)
    assert check_address("203.0.113.7") == "203.0.113.7"
    with pytest.raises(ConfigError):
        check_address("my.example")


def test_the_public_address_takes_the_place_of_host_candidates_of_its_family() -> None:
    sdp = (
        "v=0\r\nm=video 4711 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 10.0.0.2\r\n"
        "a=candidate:1 1 udp 2130706431 10.0.0.2 4711 typ host\r\n"
        "a=candidate:2 1 udp 2130706431 fd00::2 4712 typ host\r\n"
        "a=candidate:3 1 udp 1694498815 198.51.100.1 4711 typ srflx raddr 10.0.0.2 rport 4711\r\n"
    )
    assert announced(sdp, "") == sdp
    told = announced(sdp, "203.0.113.7")
    assert "a=candidate:1 1 udp 2130706431 203.0.113.7 4711 typ host\r\n" in told
    assert "c=IN IP4 203.0.113.7\r\n" in told
    assert "fd00::2 4712" in told
    assert "198.51.100.1 4711 typ srflx raddr 10.0.0.2" in told
    assert "2001:db8::7 4712" in announced(sdp, "2001:db8::7")
    assert candidate_types(told) == ["host", "host", "srflx"]


class Seen:
    """Count pictures, and tell the loop when three have come."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._enough = asyncio.Event()
        self.count = 0

    def __call__(self, frame: Frame) -> None:
        self.count += 1
        if self.count == 3:
            self._loop.call_soon_threadsafe(self._enough.set)

    async def three(self) -> None:
        async with asyncio.timeout(20):
            await self._enough.wait()


def free_ports(count: int) -> range:
    """Return neighbouring UDP ports that nobody has."""
    for first in range(42_000, 60_000, count):
        held: list[socket.socket] = []
        try:
            for port in range(first, first + count):
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                held.append(one)
                one.bind(("0.0.0.0", port))
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
        return range(first, first + count)
    raise AssertionError("no ports")


async def test_media_keeps_to_the_ports_given() -> None:
    ports = free_ports(16)
    seen = Seen()
    peer = Peer(Ends(on_frame=seen), ice=Ice(udp_ports=ports))
    client = Client(NumberedCamera())
    answer = await client.connect(peer)
    used = [line.split(" ")[5] for line in answer.splitlines() if " typ host" in line]
    assert used
    assert {int(port) for port in used} <= set(ports)
    await seen.three()
    await client.close()
    await peer.close()


async def test_a_range_without_a_free_port_is_an_error_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    ports = free_ports(1)
    addresses = aioice.ice.get_host_addresses(True, True)
    held = []
    for address in addresses:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((address, ports[0]))
        held.append(one)
    client = Client(NumberedCamera())
    offer = await client.offer()
    peer = Peer(Ends(), ice=Ice(udp_ports=ports))
    with pytest.raises(NoWay, match="no free UDP port"):
        await peer.answer(offer)
    assert "no UDP port" in caplog.text
    for one in held:
        one.close()
    await client.close()


async def test_other_sockets_are_left_alone() -> None:
    assert is_as_read()
    loop = asyncio.get_running_loop()
    ports = free_ports(4)
    assert hold_to(loop, range(1024, 1025))
    assert hold_to(loop, ports)  # a later call gives other ports
    asked = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    assert asked[0].get_extra_info("sockname")[1] in ports
    out = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", 9))
    assert out[0].get_extra_info("sockname")[1] not in ports
    for transport, _ in (asked, out):
        transport.close()


async def test_the_announced_address_stands_in_the_answer_and_pictures_come() -> None:
    seen = Seen()
    peer = Peer(Ends(on_frame=seen), ice=Ice(public_address="203.0.113.7"))
    client = Client(NumberedCamera())
    answer = await client.connect(peer)  # the pair comes of the client's candidates, which the server tries
    v4 = [line for line in answer.splitlines() if " typ host" in line and ":" not in line.split(" ")[4]]
    assert v4
    assert all(" 203.0.113.7 " in line for line in v4)
    await seen.three()
    await client.close()
    await peer.close()


async def test_candidates_of_a_stranger_are_taken_up_to_a_number() -> None:
    peer, client = Peer(Ends()), Client(NumberedCamera())
    await peer.answer(await client.offer())
    assert peer._pc is not None
    (transport,) = {one.receiver.transport.transport for one in peer._pc.getTransceivers()}
    before = len(transport.getRemoteCandidates())
    transport.iceGatherer._remote_candidates_end = False  # as after an offer that promised more
    transport._connection._remote_candidates_end = False
    await client.close()
    for first in range(0, 100, 20):
        lines = [f"a=candidate:1 1 udp 1 192.0.2.{n} 9 typ host" for n in range(first, first + 20)]
        await peer.trickle("\r\n".join(["a=mid:0", *lines]))
    assert len(transport.getRemoteCandidates()) - before == MAX_CANDIDATES
    await peer.trickle("a=mid:0\r\na=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n")
    await peer.close()
    with pytest.raises(SessionError):
        await peer.trickle("a=end-of-candidates\r\n")


async def test_relay_only_without_a_relay_is_refused_at_once_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    states: list[str] = []
    servers = (IceServer(NOBODY, "me", "swordfish"),)
    peer = Peer(Ends(on_state=states.append), ice=Ice(servers, relay_only=True))
    client = Client(NumberedCamera())
    with pytest.raises(NoWay, match="gave no relay: it could not be reached") as refused:
        await peer.answer(await client.offer())
    assert "turn.md" in refused.value.hint
    assert states == ["closed"]
    assert "swordfish" not in caplog.text
    await client.close()


async def test_a_missing_relay_beside_other_ways_is_told_and_pictures_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = Peer(Ends(), ice=Ice((IceServer(NOBODY, "me", "p"),)))
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.until(lambda: any(one["type"] == "notice" for one in client.messages))
    (told,) = client.messages
    assert "could not be reached" in told["message"]
    assert "no relay from the TURN server" in caplog.text
    await client.close()
    await peer.close()


def test_reasons_are_words() -> None:
    refused = stun.Message(stun.Method.ALLOCATE, stun.Class.ERROR)
    refused.attributes["ERROR-CODE"] = (401, "Unauthorized")
    assert reason(stun.TransactionFailed(refused)) == "it refused the credentials (401)"
    refused.attributes["ERROR-CODE"] = (486, "Allocation Quota Reached")
    assert reason(stun.TransactionFailed(refused)) == "it refused (486 Allocation Quota Reached)"
    assert reason(stun.TransactionTimeout()) == "it did not answer"
    assert (
        reason(ConnectionRefusedError(111, "Connection refused"))
        == "it could not be reached (Connection refused)"
    )
