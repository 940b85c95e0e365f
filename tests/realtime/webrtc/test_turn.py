"""Through a real TURN server (coturn) alone: pictures flow, and a bad login is told for what it is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from aiortc import RTCPeerConnection

from realtime.core.channel import Channel
from realtime.core.frame import Frame
from realtime.link import Ends
from realtime.webrtc.ice import Ice, IceServer, NoWay, candidate_types, turn_login
from realtime.webrtc.peer import Peer
from realtime.webrtc.ways import configuration
from tests.realtime.webrtc.client import Client, NumberedCamera
from tests.realtime.webrtc.turn import SECRET, Turn, turn_server

pytestmark = pytest.mark.turn


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turn]:
    with turn_server(tmp_path_factory.mktemp("turn")) as running:
        yield running


def relay(turn: Turn, *, secret: str = SECRET, ttl_s: float = 600, transport: str = "udp") -> Ice:
    login = turn_login(secret, "test", time.time(), ttl_s)
    return Ice((IceServer(turn.url(transport), *login),), relay_only=True)


class RelayedClient(Client):
    """Offer relayed candidates only, as a browser with iceTransportPolicy "relay" does."""

    def __init__(self, ice: Ice) -> None:
        super().__init__(NumberedCamera())
        camera = self.camera
        assert camera is not None
        self.pc = RTCPeerConnection(configuration(ice))
        self.pc.on("track", self._take)
        self.pc.addTrack(camera)
        self.control = self.pc.createDataChannel("control")


def echo(ice: Ice) -> Peer:
    out: Channel[Frame] = Channel("painted")
    return Peer(Ends(painted=out, on_frame=out.put, size_px=128), ice=ice)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_pictures_flow_through_relays_alone(turn: Turn, transport: str) -> None:
    ice = relay(turn, transport=transport)
    client, peer = RelayedClient(ice), echo(ice)
    answer = await client.connect(peer)
    assert set(candidate_types(answer)) == {"relay"}
    assert set(candidate_types(client.pc.localDescription.sdp)) == {"relay"}
    await client.pictures(20)
    assert len([number for number, _, _ in client.received if number is not None]) >= 10
    await client.close()
    await peer.close()


@pytest.mark.parametrize(("secret", "ttl_s"), [("another", 600), (SECRET, -60)], ids=["wrong", "expired"])
async def test_a_login_that_is_no_good_is_refused_and_told(turn: Turn, secret: str, ttl_s: float) -> None:
    client = Client(NumberedCamera())
    peer = echo(relay(turn, secret=secret, ttl_s=ttl_s))
    with pytest.raises(NoWay, match=r"it refused the credentials \(401\)"):
        await peer.answer(await client.offer())
    assert peer.state == "closed"
    await client.close()


async def test_a_refused_login_beside_other_ways_is_an_event(turn: Turn) -> None:
    wrong = relay(turn, secret="another")
    client, peer = Client(NumberedCamera()), echo(Ice(wrong.servers))
    await client.connect(peer)
    await client.until(lambda: any(one["type"] == "notice" for one in client.messages))
    assert "refused the credentials (401)" in client.messages[0]["message"]
    await client.pictures(3)
    await client.close()
    await peer.close()
