"""The OpenAPI document: every route has its answers, every example fits, and real answers are as it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from starlette.testclient import TestClient

from app import answers as said
from app import told
from app.api_docs import ANSWERS, REFUSALS, SILENT, SOCKETS, TAKES, TEXTS
from app.server import build_app
from tests.app import stages
from tests.app.test_loopback import Watcher
from tests.app.test_server import HOME, PATTERN, made, serving

MESSAGES = {model.model_fields["type"].annotation.__args__[0]: model for model in told.SERVER_MESSAGES}  # type: ignore[union-attr]


async def document() -> dict[str, Any]:
    async with serving() as http:
        found: dict[str, Any] = (await http.get("/api/openapi.json")).json()
        return found


async def test_every_route_says_what_it_answers() -> None:
    paths = (await document())["paths"]
    every = {(method, path) for path, methods in paths.items() for method in methods}
    assert every == set(ANSWERS) | set(TEXTS) | SILENT
    assert set(TAKES) <= every
    for (method, path), texts in TEXTS.items():
        for status, (_, types) in texts.items():
            assert set(types) == set(paths[path][method]["responses"][status]["content"])
    for (method, path), found in ANSWERS.items():
        route = paths[path][method]
        assert route["description"], path
        assert set(found) <= set(route["responses"])
        assert set(REFUSALS) <= set(route["responses"])
        for status, (model, example) in found.items():
            told = route["responses"][status]["content"]["application/json"]
            assert told["schema"]["$ref"].endswith(f"/{model.__name__}")
            model.model_validate(example)
            assert told["example"] == example


async def test_bodies_that_a_route_reads_itself_are_told() -> None:
    paths = (await document())["paths"]
    whip = paths["/whip/{name}"]["post"]["requestBody"]["content"]
    assert list(whip) == ["application/sdp"]
    outputs = paths["/api/sessions/{session_id}/outputs"]["post"]["requestBody"]["content"]
    assert outputs["application/json"]["schema"]["$ref"].endswith("/OutputBody")


def test_every_websocket_is_told_of() -> None:
    table = stages.registry()
    app = build_app(stages.settings(table), table, page=False)
    assert {route.path for route in app.routes if "WebSocket" in type(route).__name__} == set(SOCKETS)  # type: ignore[attr-defined]
    assert app.openapi()["x-websockets"] == SOCKETS


async def test_every_reference_leads_somewhere() -> None:
    whole = await document()

    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*map(references, part.values()))
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    names = {reference.removeprefix("#/components/schemas/") for reference in references(whole)}
    assert names <= set(whole["components"]["schemas"])
    assert {"Ping", "ChangeSettings", "Stats", "Trouble", "Refusal", "Queued"} <= names
    assert len(whole["x-messages"]["server"]["oneOf"]) == len(told.SERVER_MESSAGES)


async def test_real_answers_are_as_the_document_says(tmp_path: Path) -> None:
    def check(method: str, path: str, status: int, body: Any) -> None:
        ANSWERS[method, path][str(status)][0].model_validate(body, extra="forbid")

    async with serving(server__max_sessions=1, output__folder=str(tmp_path)) as http:
        answer = await http.post("/api/sessions", json=PATTERN)
        check("post", "/api/sessions", answer.status_code, answer.json())
        one = answer.json()["id"]
        queued = await http.post("/api/sessions", json=PATTERN)
        check("post", "/api/sessions", queued.status_code, queued.json())
        watcher = Watcher()
        body = {"sdp": await watcher.offer(), "type": "offer"}
        answered = await http.post(f"/api/sessions/{one}/offer", json=body)
        check("post", "/api/sessions/{session_id}/offer", 200, answered.json())
        changed = await http.patch(f"/api/sessions/{one}/settings", json={"strength": 0.5})
        check("patch", "/api/sessions/{session_id}/settings", 200, changed.json())
        wishes: dict[str, dict[str, Any]] = {"outputs": {"kind": "file"}, "recordings": {"sound": False}}
        for what, wish in wishes.items():
            path = f"/api/sessions/{{session_id}}/{what}"
            begun = await http.post(f"/api/sessions/{one}/{what}", json=wish)
            check("post", path, begun.status_code, begun.json())
            listed = await http.get(f"/api/sessions/{one}/{what}")
            assert listed.json()[what]
            check("get", path, 200, listed.json())
        for path, target in (
            ("/api/sessions/{session_id}", f"/api/sessions/{one}"),
            ("/api/sessions/{session_id}/ice", f"/api/sessions/{one}/ice"),
            ("/api/tickets/{ticket}", f"/api/tickets/{queued.json()['ticket']}"),
            ("/api/looks", "/api/looks"),
            ("/healthz", "/healthz"),
        ):
            check("get", path, 200, (await http.get(target)).json())
        said.Refusal.model_validate((await http.get("/api/sessions/none")).json(), extra="forbid")
        await watcher.close()


async def test_real_messages_are_as_the_document_says() -> None:
    async with serving() as http:
        one = await made(http, PATTERN)
        watcher = Watcher()
        answer = await http.post(
            f"/api/sessions/{one}/offer", json={"sdp": await watcher.offer(), "type": "offer"}
        )
        from aiortc import RTCSessionDescription

        await watcher.pc.setRemoteDescription(RTCSessionDescription(**answer.json()))
        await watcher.control_open()
        assert watcher.control is not None
        watcher.control.send('{"type": "settings", "settings": {"strenght": 1}}')
        kinds = {"ready", "progress", "stats", "error"}
        await watcher.until(lambda: kinds <= {message["type"] for message in watcher.messages})
        for message in watcher.messages:
            MESSAGES[message["type"]].model_validate(message, extra="forbid")
        await watcher.close()


def test_real_messages_of_a_websocket_are_as_the_document_says() -> None:
    table = stages.registry()
    app = build_app(stages.settings(table), table, page=False)
    with TestClient(app, base_url=HOME) as http:
        one = http.post("/api/sessions", json={}).json()["id"]  # its pictures come from the client
        with http.websocket_connect(f"/api/sessions/{one}/ws", headers={"host": "127.0.0.1:7860"}) as socket:
            for message in ({"type": "hello", "takes": ["jpeg"]}, {"type": "ping", "sent_ms": 1}):
                socket.send_json(message)
            seen: set[str] = set()
            while not {"path", "size", "ready", "ping", "pong", "stats"} <= seen:
                text = socket.receive().get("text")
                if text is not None:
                    message = json.loads(text)
                    MESSAGES[message["type"]].model_validate(message, extra="forbid")
                    seen.add(message["type"])


@pytest.mark.parametrize("model", [*told.CLIENT_MESSAGES, *told.SERVER_MESSAGES])
def test_a_message_of_another_type_is_none_of_these(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate({"type": "other", "message": "", "settings": {}})
