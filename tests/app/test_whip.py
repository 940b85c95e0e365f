"""WHIP and WHEP as a client sees them: statuses and headers of RFC 9725, and pictures that come painted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from aiortc import RTCSessionDescription

from app.stream_http import is_open_to
from app.streams import check_direction, check_name, directions
from realtime.core.errors import ConfigError, UnsupportedMedia
from realtime.media import fit
from realtime.sources.pattern import pattern_picture
from tests.app.test_loopback import SIDE, Watcher
from tests.app.test_server import is_told, made, serving
from tests.realtime.webrtc.client import Client, NumberedCamera

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = "application/trickle-ice-sdpfrag"
PAGE = "https://studio.example"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with serving() as client:
        yield client


class Publisher(Client):
    """Send numbered pictures, and sound, as a WHIP client does; no data channel."""

    def __init__(self, *, sound: bool = False) -> None:
        super().__init__(NumberedCamera((192, 128)), sound=sound, control=False)
        for one in self.pc.getTransceivers():
            one.direction = "sendonly"


class Player(Watcher):
    """Receive pictures, and offer to receive sound, as a WHEP player does."""

    def __init__(self) -> None:
        super().__init__(control=False)
        self.pc.addTransceiver("audio", direction="recvonly")


async def posted(http: httpx.AsyncClient, client: Client, path: str, **headers: str) -> httpx.Response:
    answer = await http.post(path, content=await client.offer(), headers={**SDP, **headers})
    if answer.status_code == 201:
        await client.pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return answer


async def an_offer(client: Client) -> str:
    try:
        return await client.offer()
    finally:
        await client.close()


async def test_what_is_published_is_watched_painted(http: httpx.AsyncClient) -> None:
    publisher, player = Publisher(sound=True), Player()
    made = await posted(http, publisher, "/whip/stage1")
    assert made.status_code == 201
    assert made.headers["content-type"].startswith("application/sdp")
    assert made.headers["location"].startswith("/whip/stage1/")
    assert made.headers["etag"].startswith('"')
    assert made.headers["accept-patch"] == FRAGMENT
    assert [way for _, way in directions(made.text)] == ["recvonly", "recvonly"]
    assert "a=candidate:" in made.text

    seen = await posted(http, player, "/whep/stage1")
    assert seen.status_code == 201
    assert seen.headers["location"].startswith("/whep/stage1/")
    assert directions(seen.text)[0] == ("video", "sendonly")
    await player.until(lambda: len([n for n, _, _ in player.received if n is not None]) >= 10)
    number = next(n for n, _, _ in reversed(player.received) if n is not None)
    side = player.newest.shape[0]
    sent = fit(pattern_picture(number, 192, 128), side, side).astype(int)
    assert np.abs(player.newest - (255 - sent)).mean() < np.abs(player.newest - sent).mean()

    assert (await http.delete(seen.headers["location"])).status_code == 200
    is_told(await http.delete(seen.headers["location"]), 404)
    streams = http.studio.manager  # type: ignore[attr-defined]
    assert len(streams) == 1
    assert (await http.delete(made.headers["location"])).status_code == 200
    assert len(streams) == 0  # nobody publishes it and nobody watches: its seat is free at once
    await publisher.close()
    await player.close()


async def test_many_watch_one_painting() -> None:
    async with serving("Counts") as http:
        from tests.app.stages import Counts

        Counts.painted_numbers.clear()
        publisher = Publisher()
        assert (await posted(http, publisher, "/whip/one")).status_code == 201
        players = [Player() for _ in range(3)]
        for player in players:
            assert (await posted(http, player, "/whep/one")).status_code == 201
        for player in players:
            await player.until(lambda player=player: len(player.received) >= 15)
        seqs = list(Counts.painted_numbers)
        assert len(seqs) == len(set(seqs))  # each picture once, whoever looks
        assert len(seqs) <= publisher.camera.sent  # type: ignore[union-attr]
        for one in (*players, publisher):
            await one.close()


async def test_a_nameless_stream_is_found_while_it_is_the_only_one(http: httpx.AsyncClient) -> None:
    is_told(await http.post("/whep", content=await an_offer(Player()), headers=SDP), 404, "Nobody publishes")
    first, second, player = Publisher(), Publisher(), Player()
    made = await posted(http, first, "/whip")
    assert made.status_code == 201
    name = made.headers["location"].split("/")[2]
    assert f"</watch/{name}>" in made.headers["link"]
    seen = await posted(http, player, "/whep")
    assert seen.headers["location"].startswith(f"/whep/{name}/")
    assert (await posted(http, second, "/whip?name=other")).headers["location"].startswith("/whip/other/")
    is_told(
        await http.post("/whep", content=await an_offer(Player()), headers=SDP), 404, "2 streams", "/whep/"
    )
    for one in (first, second, player):
        await one.close()


async def test_a_stream_is_taken_while_its_publisher_sends_and_free_afterwards(
    http: httpx.AsyncClient,
) -> None:
    first, second, player = Publisher(), Publisher(), Player()
    made = await posted(http, first, "/whip/stage")
    await posted(http, player, "/whep/stage")
    await player.pictures(3)
    taken = await http.post("/whip/stage", content=await an_offer(Publisher()), headers=SDP)
    is_told(taken, 409, "stage")
    assert int(taken.headers["retry-after"]) > 0
    assert (await http.delete(made.headers["location"])).status_code == 200
    again = await posted(http, second, "/whip/stage")  # the player kept the session
    assert again.status_code == 201
    await player.pictures(5)
    assert len(http.studio.manager) == 1  # type: ignore[attr-defined]
    for one in (first, second, player):
        await one.close()


async def test_a_session_of_the_page_can_be_published_to_and_watched_by_its_id(
    http: httpx.AsyncClient,
) -> None:
    one = await made(http, {"source": {"kind": "webrtc"}, "settings": {"size_px": SIDE}})
    publisher, player = Publisher(), Player()
    assert (await posted(http, publisher, f"/whip/{one}")).status_code == 201
    assert (await posted(http, player, f"/whep/{one}")).status_code == 201
    await player.pictures(3)
    assert player.received[-1][2] == (SIDE, SIDE)
    pattern = await made(http)
    is_told(await http.post(f"/whip/{pattern}", content=await an_offer(Publisher()), headers=SDP), 409)
    await publisher.close()
    await player.close()


async def test_candidates_may_come_later(http: httpx.AsyncClient) -> None:
    publisher, player = Publisher(), Player()
    offer = await publisher.offer()
    lines = offer.splitlines()
    late = [line for line in lines if line.startswith("a=candidate:")]
    early = [line for line in lines if line not in (*late, "a=end-of-candidates")]
    assert late
    answer = await http.post("/whip/late", content="\r\n".join(early) + "\r\n", headers=SDP)
    assert answer.status_code == 201
    ufrag = next(line for line in lines if line.startswith("a=ice-ufrag:"))
    fragment = "\r\n".join(
        [ufrag, "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:0", *late, "a=end-of-candidates", ""]
    )
    where, etag = answer.headers["location"], answer.headers["etag"]
    kind = {"Content-Type": FRAGMENT}
    assert (await http.patch(where, content=fragment, headers=kind)).status_code == 428
    wrong = await http.patch(where, content=fragment, headers={**kind, "If-Match": '"other"'})
    assert wrong.status_code == 412
    taken = await http.patch(where, content=fragment, headers={**kind, "If-Match": etag})
    assert taken.status_code == 204
    assert "etag" not in taken.headers
    # Our own candidates are hidden from the publisher, so that the pair can only come of what was trickled.
    bare = [
        x for x in answer.text.splitlines() if not x.startswith("a=candidate:") and x != "a=end-of-candidates"
    ]
    await publisher.pc.setRemoteDescription(RTCSessionDescription("\r\n".join(bare) + "\r\n", "answer"))
    assert (await posted(http, player, "/whep/late")).status_code == 201
    await player.pictures(3)

    restart = "a=ice-ufrag:Other\r\na=ice-pwd:0123456789012345678901\r\n"
    for match in ("*", '"*"', etag):
        refused = await http.patch(where, content=restart, headers={**kind, "If-Match": match})
        is_told(refused, 422, "restarted")
    await player.pictures(3)  # the session goes on
    for one in (publisher, player):
        await one.close()


@pytest.mark.parametrize(
    ("content", "kind", "status", "parts"),
    [
        ("v=0", "text/plain", 415, ["application/sdp"]),
        ("v=0", "", 415, ["application/sdp"]),
        ("hello", "application/sdp", 400, ["v=0"]),
        (b"v=0\xff", "application/sdp; charset=utf-8", 400, ["UTF-8"]),
        ("v=0\r\n" + "a=x\r\n" * 20_000, "application/sdp", 413, ["65536"]),
        ("v=0\r\ns=-\r\n", "application/sdp", 422, ["0 videos"]),
        ("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n", "application/sdp", 422, ["sendonly"]),
        ("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n", "application/sdp", 422, ["fingerprint"]),
        ("v=0\r\n" + "m=video 9 A 96\r\na=sendonly\r\n" * 2, "application/sdp", 422, ["2 videos"]),
    ],
)
async def test_what_is_no_offer_is_refused_and_leaves_nothing(
    http: httpx.AsyncClient, content: Any, kind: str, status: int, parts: list[str]
) -> None:
    answer = await http.post("/whip/bad", content=content, headers={"Content-Type": kind} if kind else {})
    is_told(answer, status, *parts)
    if status == 415:
        assert answer.headers["accept-post"] == "application/sdp"
    is_told(await http.post("/whip/a%20b", content=await an_offer(Publisher()), headers=SDP), 422, "a b")
    assert len(http.studio.manager) == 0  # type: ignore[attr-defined]


async def test_methods_and_what_is_not_there(http: httpx.AsyncClient) -> None:
    for path in ("/whip", "/whip/a", "/whep", "/whep/a", "/whip/a/b"):
        assert (await http.get(path)).status_code == 204
        refused = await http.put(path)
        assert refused.status_code == 405
        assert ("PATCH" if path.count("/") == 3 else "POST") in refused.headers["allow"]
    for method in ("DELETE", "PATCH"):
        assert (await http.request(method, "/whip/a")).status_code == 405
    is_told(await http.delete("/whip/a/b"), 404)
    kind = {"Content-Type": FRAGMENT, "If-Match": '"x"'}
    is_told(await http.patch("/whip/a/b", content="a=end-of-candidates\r\n", headers=kind), 404)
    is_told(await http.patch("/whip/a/b", content="{}"), 415, FRAGMENT)
    is_told(await http.post("/whep/nobody", content=await an_offer(Player()), headers=SDP), 404, "nobody")
    page = await http.get("/watch/stage1")
    assert page.status_code == 200
    assert "/whep/" in page.text
    is_told(await http.get("/watch/a%20b"), 422, "a b")


async def test_a_full_house_says_when_to_come_again() -> None:
    async with serving(server__max_sessions=1, server__max_viewers=1) as http:
        publisher, player = Publisher(), Player()
        assert (await posted(http, publisher, "/whip/a")).status_code == 201
        full = await http.post("/whip/b", content=await an_offer(Publisher()), headers=SDP)
        is_told(full, 503)
        assert int(full.headers["retry-after"]) > 0
        assert (await posted(http, player, "/whep/a")).status_code == 201
        is_told(await http.post("/whep/a", content=await an_offer(Player()), headers=SDP), 503, "seats")
        await player.close()
        await publisher.close()


async def test_pages_of_other_origins_only_where_they_are_named() -> None:
    ask = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    async with serving() as http:
        closed = await http.options("/whip/a", headers=ask)
        assert closed.status_code == 200
        assert closed.headers["accept-post"] == "application/sdp"
        assert "access-control-allow-origin" not in closed.headers
        is_told(
            await http.post("/whip/a", content="v=0", headers={**SDP, "Origin": PAGE}), 403, "another site"
        )
    async with serving(server__stream_origins=PAGE) as http:
        open_ = await http.options("/whip/a", headers=ask)
        assert open_.headers["access-control-allow-origin"] == PAGE
        assert "Content-Type" in open_.headers["access-control-allow-headers"]
        assert "POST" in open_.headers["access-control-allow-methods"]
        publisher = Publisher()
        made = await posted(http, publisher, "/whip/a", Origin=PAGE)
        assert made.status_code == 201
        assert {"Location", "Link", "ETag"} <= set(made.headers["access-control-expose-headers"].split(", "))
        refused = await http.post("/whip/a", content="x", headers={"Origin": PAGE})
        assert refused.status_code == 415
        assert refused.headers["access-control-allow-origin"] == PAGE
        other = {**SDP, "Origin": "https://evil.example"}
        is_told(await http.post("/whip/a", content="v=0", headers=other), 403, "another site")
        elsewhere = await http.post("/api/sessions", json={}, headers={"Origin": PAGE})
        is_told(elsewhere, 403, "another site")
        gone = await http.delete(made.headers["location"], headers={"Origin": PAGE})
        assert gone.status_code == 200
        await publisher.close()


async def test_turn_servers_are_told_with_a_login() -> None:
    turn = "turn:127.0.0.1:9?transport=tcp"  # nobody listens, which the server notices at once
    flags = {"server__turn_urls": turn, "server__turn_secret": "swordfish"}
    async with serving(**flags, server__ice_servers="stun:127.0.0.1:9") as http:
        publisher = Publisher()
        made = await posted(http, publisher, "/whip")
        asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        assert "link" not in (await http.options("/whip", headers=asks)).headers
        for answer in (await http.options("/whip"), made):
            links = [one for one in answer.headers.get_list("link") if "ice-server" in one]
            assert links[0] == '<stun:127.0.0.1:9>; rel="ice-server"'
            assert links[1].startswith(f'<{turn}>; rel="ice-server"; username="')
            assert 'credential-type="password"' in links[1]
        answer = await http.post("/api/sessions", json={"source": {"kind": "pattern"}})
        told = answer.json()["ice_servers"]
        assert told[0] == {"urls": "stun:127.0.0.1:9"}
        assert set(told[1]) == {"urls", "username", "credential"}
        assert "swordfish" not in f"{answer.text}{made.headers}"
        again = (await http.get(f"/api/sessions/{answer.json()['id']}/ice")).json()
        assert again["ice_servers"][0] == told[0]
        await publisher.close()


async def test_with_a_token_nothing_is_done_or_told_without_it() -> None:
    flags = {"server__turn_urls": "turn:127.0.0.1:9?transport=tcp", "server__turn_secret": "s"}
    async with serving(**flags, server__token="s3cret", server__stream_origins=PAGE) as http:
        refused = await http.post("/whip/a", content="v=0", headers={**SDP, "Origin": PAGE})
        is_told(refused, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (
            refused.headers["access-control-allow-origin"] == PAGE
        )  # so that the page can say what is amiss
        unnamed = {**SDP, "Origin": "https://evil.example"}
        assert "access-control-allow-origin" not in (await http.post("/whip/a", headers=unnamed)).headers
        assert len(http.studio.manager) == 0  # type: ignore[attr-defined]
        asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        asked = await http.options("/whip/a", headers=asks)  # browsers send no token here
        assert asked.status_code == 200
        assert "Authorization" in asked.headers["access-control-allow-headers"]
        assert "link" not in asked.headers
        elsewhere = {**asks, "Origin": "https://evil.example"}
        assert (await http.options("/whip/a", headers=elsewhere)).status_code == 401
        assert (await http.options("/api/sessions", headers=asks)).status_code == 401
        assert (await http.options("/whip/a")).status_code == 401
        bearer = {"Authorization": "Bearer s3cret"}
        assert "link" in (await http.options("/whip/a", headers=bearer)).headers
        publisher, player = Publisher(), Player()
        made = await posted(http, publisher, "/whip/a", **bearer)
        assert made.status_code == 201
        assert (await http.delete(made.headers["location"])).status_code == 401
        assert (await http.post("/login", data={"password": "s3cret"})).status_code == 303
        assert (await posted(http, player, "/whep/a")).status_code == 201  # signed in: a cookie is enough
        assert (await http.delete(made.headers["location"])).status_code == 200
        await publisher.close()
        await player.close()


def test_origins_are_read_from_the_settings() -> None:
    server: Any = SimpleNamespace(stream_origins=("https://A.example/",))
    is_open = is_open_to(server)
    assert is_open("/whip", "https://a.example")
    assert is_open("/whep/x/y", "https://A.example")
    assert not is_open("/whipped", "https://a.example")
    assert not is_open("/api/sessions", "https://a.example")
    assert not is_open("/whip", "https://b.example")
    assert is_open_to(SimpleNamespace(stream_origins=("*",)))("/whip", "null")  # type: ignore[arg-type]


def test_directions_and_names() -> None:
    sdp = "v=0\r\na=recvonly\r\nm=audio 9 A 0\r\nm=video 9 A 0\r\na=sendonly\r\n"
    assert directions(sdp) == [("audio", "recvonly"), ("video", "sendonly")]
    check_direction(sdp, "whip")
    with pytest.raises(UnsupportedMedia):
        check_direction(sdp, "whep")
    assert check_name("stage-1.b") == "stage-1.b"
    for name in ("", ".hidden", "a/b", "a b", "x" * 65, "ö"):
        with pytest.raises(ConfigError):
            check_name(name)


def test_the_player_page_loads_nothing_from_elsewhere() -> None:
    text = (Path(__file__).resolve().parents[2] / "app" / "watch.html").read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "src=" not in text


async def test_a_publisher_that_vanished_gives_its_place_up_and_its_viewers_stay(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.webrtc.liveness.SENDER_SILENT_S", 1.5)  # instead of 15
    first, second, player = Publisher(), Publisher(), Player()
    await posted(http, first, "/whip/stage")
    await posted(http, player, "/whep/stage")
    await player.pictures(3)
    (session,) = http.studio.manager.sessions  # type: ignore[attr-defined]
    gone = asyncio.Event()
    loop, follow = asyncio.get_running_loop(), session.links._on_turn

    def noted(held: Any, state: str) -> None:
        follow(held, state)
        if (held.path, state) == ("whip", "failed"):
            loop.call_soon_threadsafe(gone.set)

    session.links._on_turn = noted
    for protocol in first.pc.getTransceivers()[0].sender.transport.transport._connection._protocols:
        protocol.transport.sendto = lambda *_: None
    async with asyncio.timeout(8):
        await gone.wait()
    assert [held.path for held in session.links] == ["whep"]
    assert (await posted(http, second, "/whip/stage")).status_code == 201
    await player.pictures(5)
    for one in (first, second, player):
        await one.close()
