"""What strangers send: nothing of it ends the server, and a good client is served afterwards.

Everything is made from seeds, in this process, so that a failure can be run again.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiortc.sdp import SessionDescription

from app.bodies import FromClient
from app.manager import SessionManager
from app.server import build_app
from realtime.core.errors import UnsupportedMedia, VitascopeError
from realtime.webrtc.control import ControlChannel
from realtime.webrtc.offer import MAX_SDP_BYTES, SDP_ERRORS, check_offer
from tests.app import stages
from tests.app.test_loopback import Watcher
from tests.app.test_server import PATTERN
from tests.app.test_session import live
from tests.faults.asking import ELSEWHERE, HOME, Answer, ask
from tests.faults.mutation import mutated_json, mutated_lines
from tests.house.test_doors import routes
from tests.realtime.webrtc.client import Client, NumberedCamera

JSON = {"content-type": "application/json"}
EXPECTED = {200, 201, 202, 204, 400, 403, 404, 405, 409, 413, 415, 422, 429, 503}
"""Every answer but a fault (500); 503 is a server whose places are taken."""
REQUESTS, OFFERS_READ, OFFERS_ANSWERED, MESSAGES, DATAGRAMS = 8_000, 8_000, 100, 6_000, 4_000


@pytest.fixture
async def app() -> AsyncIterator[Any]:
    table = stages.registry()
    one = build_app(stages.settings(table, server__max_sessions=4), table, page=False)
    async with one.router.lifespan_context(one):
        yield one
        await serves_a_good_client(one)


async def serves_a_good_client(app: Any) -> None:
    """Fail unless a client that does all well gets its pictures."""
    loop, manager = app.state.studio.loop, app.state.studio.manager
    for session in manager.sessions:
        await loop.do(session.close())
    made = await ask(app, "POST", "/api/sessions", json.dumps(PATTERN).encode(), JSON)
    assert made.status == 201, made.body
    watcher = Watcher()
    body = json.dumps({"sdp": await watcher.offer(), "type": "offer"}).encode()
    answer = await ask(app, "POST", f"/api/sessions/{made.json()['id']}/offer", body, JSON)
    await watcher.pc.setRemoteDescription(_described(answer))
    await watcher.pictures(5)
    await watcher.close()


def _described(answer: Answer) -> Any:
    from aiortc import RTCSessionDescription

    return RTCSessionDescription(**answer.json())


async def an_offer() -> str:
    client = Client(NumberedCamera(), sound=True)
    sdp = await client.offer()
    await client.close()
    return sdp


async def a_session(app: Any) -> str:
    made = await ask(app, "POST", "/api/sessions", b"{}", JSON)
    assert made.status == 201, made.body
    return str(made.json()["id"])


async def test_fuzzed_requests(app: Any) -> None:
    random, seen = Random(1), Counter()
    create = {"source": {"kind": "pattern", "width_px": 64, "height_px": 64, "rate_hz": 30.0}, "settings": {}}
    settings = {"prompt": "a fox", "strength": 0.5, "engine": "auto"}
    one = await a_session(app)
    for number in range(REQUESTS):
        method, path, valid = random.choice(
            (
                ("POST", "/api/sessions", {**create, "settings": settings}),
                ("POST", "/api/sessions", {"source": {"kind": "file", "file": "abc", "loop": True}}),
                ("PATCH", f"/api/sessions/{one}/settings", settings),
                ("POST", f"/api/sessions/{one}/offer", {"sdp": "v=0\r\nm=video 9 X 1\r\n", "type": "offer"}),
            )
        )
        answer = await ask(app, method, path, mutated_json(valid, random), JSON)
        assert answer.status in EXPECTED, (number, answer)
        if answer.status >= 400:
            assert answer.json()["error"]["message"], number
        elif answer.status == 201:
            await ask(app, "DELETE", f"/api/sessions/{answer.json()['id']}")
        seen[answer.status] += 1
    assert seen[422] > REQUESTS / 2
    assert seen[200] > 50  # some mutations are harmless: they went all the way
    assert (await ask(app, "GET", f"/api/sessions/{one}")).json()["state"] == "live"


async def test_fuzzed_offers_are_read() -> None:
    """Each either is refused in a sentence, or fails in the parser as the peer expects it to."""
    random, valid, seen = Random(2), await an_offer(), Counter()
    for _ in range(OFFERS_READ):
        text = mutated_lines(valid, random)
        try:
            check_offer(text)
            SessionDescription.parse(text)
        except UnsupportedMedia:
            seen["refused"] += 1
        except (*SDP_ERRORS, StopIteration):  # inside a coroutine the last one is a RuntimeError
            seen["unparsed"] += 1
        else:
            seen["parsed"] += 1
    assert min(seen.values()) > 50
    assert len(seen) == 3


async def test_fuzzed_offers_are_answered_or_refused(app: Any) -> None:
    random, valid, seen = Random(3), await an_offer(), Counter()
    one = await a_session(app)
    for number in range(OFFERS_ANSWERED):
        body = json.dumps({"sdp": mutated_lines(valid, random), "type": "offer"}).encode()
        answer = await ask(app, "POST", f"/api/sessions/{one}/offer", body, JSON)
        assert answer.status in (200, 422), (number, answer)
        seen[answer.status] += 1
    assert len(seen) == 2
    session = app.state.studio.manager.get(one)
    assert session.state.value == "live"


async def test_fuzzed_control_messages() -> None:
    random, seen = Random(4), Counter()
    table = stages.registry()
    manager = SessionManager(stages.settings(table), table)
    session = await live(await manager.create(FromClient()))

    def hear(message: dict[str, Any]) -> None:
        seen["heard"] += 1
        try:
            session.hear(message)
        except VitascopeError:
            seen["told"] += 1
            raise
        except UnicodeEncodeError:
            seen["unicode"] += 1
            raise

    control = ControlChannel(hear)
    valid = (
        {"type": "ping", "sent_ms": 12},
        {"type": "settings", "settings": {"prompt": "a fox", "strength": 0.5}},
        {"type": "settings", "settings": {"strength": 1.0, "size_px": 64, "engine": "auto"}},
    )
    for number in range(MESSAGES):
        data = mutated_json(random.choice(valid), random)
        message = data if number % 50 == 0 else data.decode("utf-8", "replace")
        control._receive(message)
        if number % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert control.refused > 500
    assert seen["heard"] > 2000
    assert seen["unicode"] == 0
    assert seen["told"] > 100
    control._receive("x" * 20_000)
    control._receive("[" * 16_000)
    assert session.state.value == "live"
    session.hear({"type": "settings", "settings": {"strength": 0.25}})
    assert session.wiring.settings()["strength"] == 0.25
    await manager.close_all()


def datagrams(random: Random) -> list[bytes]:
    """Return what looks like STUN, DTLS, RTP and RTCP (RFC 7983) and is not."""
    made = []
    for _ in range(DATAGRAMS):
        body = random.randbytes(random.choice((0, 1, 3, 12, 40, 200, 1200)))
        first = random.choice((0, 1, 20, 22, 23, 63, 128, 144, 191, 200, random.randrange(256)))
        kind = random.randrange(6)
        if kind == 0:  # a STUN request, its length right or wrong
            head = b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
            made.append(head + random.randbytes(12) + body)
        elif kind == 1:  # a DTLS record
            made.append(b"\x16\xfe\xfd" + random.randbytes(8) + len(body).to_bytes(2, "big") + body)
        elif kind == 2:  # RTCP: sender report, feedback, with any count and length
            made.append(bytes([0x80 | random.randrange(32), random.randrange(192, 224)]) + body)
        elif kind == 3:  # RTP with padding, extension and sources
            made.append(bytes([0x80 | random.randrange(64), random.randrange(256)]) + body)
        else:
            made.append(bytes([first]) + body)
    return made


async def test_malformed_datagrams_at_a_live_peer(app: Any) -> None:
    watcher = Watcher(NumberedCamera((160, 128)))
    one = await a_session(app)
    body = json.dumps({"sdp": await watcher.offer(), "type": "offer"}).encode()
    answer = await ask(app, "POST", f"/api/sessions/{one}/offer", body, JSON)
    await watcher.pc.setRemoteDescription(_described(answer))
    await watcher.pictures(5)
    ends = set(re.findall(r"candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer.json()["sdp"]))
    assert ends
    random = Random(5)
    foreign = {
        family: socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)
    }
    transport = watcher.pc.getSenders()[0].transport.transport._connection
    sent = 0
    for number, data in enumerate(datagrams(random)):
        for host, port in ends:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            foreign[family].sendto(data, (host, int(port)))
        if data and not data.startswith(b"\x16"):  # from the client's own port, past its encryption
            await transport.send(data)
        sent += 1
        if number % 50 == 0:
            await watcher.pictures(1)  # it goes on meanwhile
    for one_socket in foreign.values():
        one_socket.close()
    assert sent == DATAGRAMS
    await watcher.pictures(20)
    await watcher.close()


async def test_bodies_without_end(app: Any) -> None:
    one, megabyte = await a_session(app), b" " * (1 << 20)
    for headers in (JSON, {**JSON, "content-length": "9"}):
        answer = await ask(app, "POST", "/api/sessions", [megabyte, megabyte], headers)
        assert answer.status == 413, answer
    for length in ("99999999999999999999", "-1", "0x10", "1e9", " 5"):
        answer = await ask(app, "POST", "/api/sessions", b"{}", {**JSON, "content-length": length})
        assert answer.status in (201, 202, 413), (length, answer)
    sdp = "v=0\r\n" + "a=" + "x" * MAX_SDP_BYTES
    body = json.dumps({"sdp": sdp, "type": "offer"}).encode()
    assert (await ask(app, "POST", f"/api/sessions/{one}/offer", body, JSON)).status == 422
    for body in (b"[" * 900_000, b'{"a":' * 150_000, b'{"settings":{"strength":1' + b"0" * 10_000 + b"}}"):
        assert (await ask(app, "POST", "/api/sessions", body, JSON)).status in (400, 422)


@pytest.mark.parametrize(
    "cookie",
    [
        "", "=", ";;;;", "vitascope_visitor_7860=", "vitascope_visitor_7860=.", "vitascope_visitor_7860=a.b",
        "vitascope_visitor_7860=" + "a" * 60_000, "vitascope_visitor_7860=\xff\xfe.\x80", 'x="\\"; a',
        "vitascope_visitor_7860=a.b; vitascope_visitor_7860=c.d", "a=b" * 5_000,
        "vitascope_login_7860=9999999999-x.y",
    ],
)  # fmt: skip
async def test_wrong_cookies_are_no_cookies(cookie: str) -> None:
    table = stages.registry()
    for word, status in (("", 201), ("open sesame", 401)):
        app = build_app(stages.settings(table, server__password=word), table, page=False)
        async with app.router.lifespan_context(app):
            answer = await ask(app, "POST", "/api/sessions", b"{}", {**JSON, "cookie": cookie})
            assert answer.status == status


UPWARD = (
    "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%5c..%5c..%5cetc%5cpasswd", "%252e%252e%252fetc%252fpasswd",
    "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd", "....//....//etc/passwd", "..;/..;/etc/passwd",
    "%c0%ae%c0%ae/etc/passwd", "etc/passwd%00.png", "file:///etc/passwd", "~/.ssh/id_rsa",
    "/proc/self/environ", "%00", "%ff%fe", "A" * 5000, "A" * 250,
)  # fmt: skip


async def test_no_path_leads_out_of_the_house() -> None:
    """Every route with a name in it, Gradio's too, is asked for files that are none of its business."""
    table = stages.registry()
    app = build_app(stages.settings(table), table)
    async with app.router.lifespan_context(app):
        named = {(path, method) for path, methods in routes(app.routes) for method in methods if "{" in path}
        assert len(named) > 20
        for path, method in sorted(named):
            for upward in UPWARD:
                target = re.sub(r"\{[^}]*\}", lambda _, up=upward: up, path)
                body = b"{}" if method in ("POST", "PUT", "PATCH") else b""
                answer = await ask(app, method, target, body, JSON)
                assert answer.status < 500, (method, target[:80], answer.status)
                assert b"root:" not in answer.body, (method, target[:80])
                assert b"PATH=" not in answer.body, (method, target[:80])
        await serves_a_good_client(app)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:7860"}, 403),
        ({"host": "127.0.0.1@evil.example"}, 403),
        ({"host": ""}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "localhost:7860"}, 201),
        ({"host": "[::1]:7860"}, 201),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": f"http://{HOME}.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:7860"}, 403),  # another name is another site
        ({"origin": f"http://{HOME}"}, 201),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 201),
    ],
)
async def test_hosts_and_origins(app: Any, headers: dict[str, str], status: int) -> None:
    answer = await ask(app, "POST", "/api/sessions", b"{}", {**JSON, **headers})
    assert answer.status == status


async def test_one_address_cannot_take_all(app: Any) -> None:
    """A thousand requests from one address: two sessions, some tickets, and then it has to wait."""
    seen: Counter[int] = Counter()
    for _ in range(1000):
        seen[(await ask(app, "POST", "/api/sessions", b"{}", JSON, client=ELSEWHERE)).status] += 1
    assert seen[201] == 2
    assert seen[429] == 998
    other = ("198.51.100.4", 5000)
    assert (await ask(app, "POST", "/api/sessions", b"{}", JSON, client=other)).status == 201


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/", "http://[::1]/", "http://127.1/", "http://0x7f000001/", "gopher://a.example/",
        "http://[::ffff:10.0.0.1]/", "rtsp://10.0.0.7/", "file:///etc/passwd", "http://a.example:22/",
        "concat:a",
    ],
)  # fmt: skip
def test_addresses_that_lead_inwards_are_refused(url: str) -> None:
    """The whole table stands with the source that reads URLs; this one is what a stranger tries first."""
    address = pytest.importorskip("realtime.sources.address", reason="no source here reads URLs")
    with pytest.raises(VitascopeError):
        address.read_address(url, address.Rules())
