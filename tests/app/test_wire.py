"""The route of the WebSocket: pictures and settings both ways, and a word where there is no session."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from app import logs
from app.server import build_app
from app.wire import MOST_SOCKETS, TRY_LATER
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture
from realtime.websocket.pictures import PictureDecoder, PictureEncoder
from realtime.websocket.wire import UNSUPPORTED, Codec, Kind, Packet, pack, unpack
from tests.app import stages

SIDE = 96
HELLO = {"type": "hello", "takes": ["h264"]}


@pytest.fixture
def http() -> Iterator[TestClient]:
    table = stages.registry()
    app = build_app(stages.settings(table), table, page=False)
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


def made(http: TestClient, kind: str = "webrtc") -> str:
    body = {"source": {"kind": kind}, "settings": {"size_px": SIDE, "strength": 0.0}}
    return str(http.post("/api/sessions", json=body).json()["id"])


def connected(http: TestClient, session: str, **headers: str) -> WebSocketTestSession:
    url = f"ws://127.0.0.1:7860/api/sessions/{session}/ws"
    found: WebSocketTestSession = http.websocket_connect(url, headers=headers)
    return found


def closed_with(socket: WebSocketTestSession) -> int:
    """Read to the end and return the code that the server closed with."""
    while (message := socket.receive())["type"] != "websocket.close":
        continue
    return int(message["code"])


def next_of(socket: WebSocketTestSession, kind: Kind) -> Packet:
    """Return the next binary message of `kind`; events and pings are passed over."""
    while True:
        message = socket.receive()
        if message.get("bytes"):
            packet = unpack(message["bytes"])
            if packet.kind is kind:
                return packet
        assert message["type"] != "websocket.close", message


def events_until(socket: WebSocketTestSession, kind: str) -> dict[str, Any]:
    while True:
        message = socket.receive()
        assert message["type"] != "websocket.close", message
        if message.get("text") and json.loads(message["text"])["type"] == kind:
            return dict(json.loads(message["text"]))


def test_a_pattern_comes_over_the_socket(http: TestClient) -> None:
    one = made(http, "pattern")
    with connected(http, one) as socket:
        socket.send_json(HELLO)
        decoder, numbers = PictureDecoder(), []
        while len(numbers) < 5:
            packet = next_of(socket, Kind.PICTURE)
            socket.send_bytes(pack(Packet(Kind.ACK, seq=packet.seq)))
            picture = decoder.decode(packet)
            assert picture is not None
            numbers.append(read_mark(picture.to_ndarray(format="rgb24")))
            assert packet.codec is Codec.H264
        assert None not in numbers
        assert numbers == sorted(set(numbers))
        assert http.get(f"/api/sessions/{one}").json()["figures"]["path"] == "websocket"


def test_a_clients_pictures_are_painted_and_its_settings_taken(http: TestClient) -> None:
    one = made(http)
    with connected(http, one) as socket:
        socket.send_json(HELLO)
        events_until(socket, "ready")
        encoder, decoder = PictureEncoder(Codec.H264), PictureDecoder()
        for number in range(5):
            coded = encoder.encode(pattern_picture(number, SIDE, SIDE), number * 33_333, bitrate_bps=10**6)
            head = (Kind.PICTURE, Codec.H264, number, number * 33_333)
            socket.send_bytes(pack(Packet(*head, coded.data, coded.is_key, SIDE, SIDE)))
            packet = next_of(socket, Kind.PICTURE)
            socket.send_bytes(pack(Packet(Kind.ACK, seq=packet.seq)))
            picture = decoder.decode(packet)
            assert picture is not None
            assert read_mark(picture.to_ndarray(format="rgb24")) == number
        socket.send_json({"type": "settings", "settings": {"strength": 2.0}})
        assert "strength" in events_until(socket, "error")["message"]
        socket.send_json({"type": "settings", "settings": {"prompt": "a fox"}})
        socket.send_json({"type": "ping", "sent_ms": 1})
        events_until(socket, "pong")
        assert http.get(f"/api/sessions/{one}").json()["settings"]["prompt"] == "a fox"


def test_a_session_outlives_its_socket_and_takes_the_next(http: TestClient) -> None:
    one = made(http, "pattern")
    for _ in range(2):
        with connected(http, one) as socket:
            socket.send_json(HELLO)
            assert next_of(socket, Kind.PICTURE).is_key
            socket.close(1001)
    assert http.get(f"/api/sessions/{one}").json()["state"] == "live"


def test_the_end_of_the_session_closes_the_socket(http: TestClient) -> None:
    one = made(http, "pattern")
    with connected(http, one) as socket:
        socket.send_json(HELLO)
        next_of(socket, Kind.PICTURE)
        assert http.delete(f"/api/sessions/{one}").status_code == 204
        assert closed_with(socket) == 1000


def test_an_unknown_session_is_told_and_closed(http: TestClient) -> None:
    with connected(http, "nobody") as socket:
        told = socket.receive_json()
        assert (told["type"], told["message"]) == ("error", "There is no such session.")
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_text()
        assert caught.value.code == 1000


def test_a_session_has_only_so_many_sockets(http: TestClient) -> None:
    one = made(http, "pattern")
    with ExitStack() as idle:
        for _ in range(MOST_SOCKETS):
            idle.enter_context(connected(http, one))
        with connected(http, one) as socket:
            assert "enough" in events_until(socket, "error")["message"]
            assert closed_with(socket) == TRY_LATER


def test_rubbish_closes_the_socket_and_not_the_session(http: TestClient) -> None:
    one = made(http, "pattern")
    with connected(http, one) as socket:
        socket.send_json(HELLO)
        next_of(socket, Kind.PICTURE)
        socket.send_bytes(b"rubbish")
        assert "no whole header" in events_until(socket, "error")["message"]
        assert closed_with(socket) == UNSUPPORTED
    assert http.get(f"/api/sessions/{one}").json()["state"] == "live"


def test_another_sites_page_gets_no_socket(http: TestClient) -> None:
    one = made(http, "pattern")
    with pytest.raises(WebSocketDisconnect) as caught:
        connected(http, one, origin="http://evil.example").__enter__()
    assert caught.value.code == 1008
    with connected(http, one, origin="http://127.0.0.1:7860") as socket:
        socket.send_json(HELLO)
        assert events_until(socket, "path")


def test_a_session_id_in_a_sockets_path_is_not_logged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uvicorn", "uvicorn.error"):  # a server of another test may have turned them down
        one = logging.getLogger(name)
        for attribute, value in (("level", logging.INFO), ("propagate", True), ("disabled", False)):
            monkeypatch.setattr(one, attribute, value)
        monkeypatch.setattr(one, "_cache", {})
    handler = logs.set_up()
    try:
        uvicorn = logging.getLogger("uvicorn.error")
        uvicorn.info('%s - "WebSocket %s" [accepted]', "127.0.0.1:5", "/api/sessions/secret/ws")
        uvicorn.info("connection open")
        uvicorn.info("Application startup complete.")
    finally:
        logging.getLogger().removeHandler(handler)
    said = capsys.readouterr().err
    assert "startup complete" in said
    assert "secret" not in said
