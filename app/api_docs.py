"""What /api/openapi.json says beyond what FastAPI finds out: answers with examples, refusals, and messages.

Each route stands in ANSWERS, TEXTS or SILENT; a test fails for one that does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import answers as said
from . import told
from .outputs import OutputBody
from .routes_asking import QuestionBody
from .routes_inout import RecordingBody
from .stream_http import FRAGMENT, SDP

if TYPE_CHECKING:
    from fastapi import FastAPI

ID = "jQ3vJ8mB0mXw2bYp6kRz1c5A"
_SETTINGS = {"prompt": "pencil sketch", "strength": 0.8, "steps": 1}
_FIGURES = {
    "age_p50_ms": 41.2,
    "age_p95_ms": 63.0,
    "fps": 29.8,
    "dropped": 3,
    "path": "webrtc",
    "sound_ms": 40,
}
_FILM, _TRACK = "20250102-030405-painted.mp4", "20250102-030405-painted.jsonl"
_KEPT = {"name": _FILM, "events": _TRACK, "bytes": 1_048_576, "running": False, "captions": "", "why": ""}
_OUTPUT = {
    "id": "Jq3vJ8mB",
    "kind": "rtmp",
    "picture": "painted",
    "name": "rtmp://live.example/app",
    "state": "running",
    "pictures": 900,
    "repeated": 12,
    "dropped": 3,
    "connections": 1,
    "error": "",
}
_ANSWER = {
    "type": "answer",
    "id": 3,
    "question": "Where is the cup?",
    "final": True,
    "text": "I last saw a cup 2 min 10 s ago, left below.",
    "asked_ago_s": 0.1,
    "engine": "events",
    "observed": True,
    "confidence": 0.82,
    "known_ago_s": 0.2,
    "moments": [{"ago_s": 130.2, "lasted_s": 14.0, "says": "a cup, left below", "picture": 7}],
}
_CARD = {"name": "events", "kind": "event memory", "says": "A data base.", "model": "", "licence": ""}
_QUEUED = {"ticket": ID, "place": 3, "of": 5, "is_turn": False, "retry_after_s": 2}

ANSWERS: dict[tuple[str, str], dict[str, tuple[type[BaseModel], Any]]] = {
    ("post", "/api/sessions"): {
        "201": (said.SessionMade, {"id": ID, "state": "opening"}),
        "202": (said.Queued, _QUEUED),
    },
    ("post", "/api/sessions/{session_id}/offer"): {
        "200": (said.SdpAnswer, {"type": "answer", "sdp": "v=0\r\n..."})
    },
    ("patch", "/api/sessions/{session_id}/settings"): {"200": (said.SettingsNow, {"settings": _SETTINGS})},
    ("get", "/api/sessions/{session_id}"): {
        "200": (
            said.SessionSeen,
            {
                "state": "live",
                "why": "",
                "age_s": 12.5,
                "settings": _SETTINGS,
                "engine": {"name": "openvino", "why": "the best here"},
                "figures": _FIGURES,
                "events": [{"type": "ready"}],
            },
        )
    },
    ("get", "/api/sessions/{session_id}/ice"): {
        "200": (said.IceServers, {"ice_servers": [{"urls": "stun:stun.example:3478"}]})
    },
    ("post", "/api/sessions/{session_id}/outputs"): {"201": (said.OutputMade, {"id": "Jq3vJ8mB"})},
    ("get", "/api/sessions/{session_id}/outputs"): {"200": (said.Outputs, {"outputs": [_OUTPUT]})},
    ("post", "/api/sessions/{session_id}/recordings"): {"201": (said.RecordingMade, {"name": _FILM})},
    ("get", "/api/sessions/{session_id}/recordings"): {"200": (said.Recordings, {"recordings": [_KEPT]})},
    ("post", "/api/sessions/{session_id}/questions"): {"200": (said.Answered, _ANSWER)},
    ("get", "/api/sessions/{session_id}/questions"): {
        "200": (said.Answers, {"engine": _CARD, "answers": [_ANSWER], "wishes": []})
    },
    ("delete", "/api/sessions/{session_id}/memory"): {"200": (said.Forgotten, {"forgotten": 1200})},
    ("get", "/api/tickets/{ticket}"): {"200": (said.Queued, _QUEUED)},
    ("post", "/api/files"): {"201": (said.FileKept, {"id": ID})},
    ("get", "/api/looks"): {
        "200": (
            said.Looks,
            {
                "is_open": False,
                "looks": [
                    {"id": "ink", "title": "Ink", "prompt": "ink drawing", "about": "Black lines on white."}
                ],
                "moods": {"warm": ["warm", "sepia"]},
                "strengths": {"slightly": 0.5},
            },
        )
    },
    ("get", "/healthz"): {
        "200": (
            said.Health,
            {
                "status": "ok",
                "painter": {"phase": "ready", "says": ""},
                "sessions": 1,
                "max_sessions": 8,
                "free_sessions": 7,
                "stage_ms_p95": 21.5,
                "loop_lag_ms_p95": 0.4,
            },
        )
    },
}
SILENT = {
    ("delete", "/api/sessions/{session_id}"),
    ("post", "/api/sessions/{session_id}/close"),
    ("post", "/api/tickets/{ticket}/close"),
    ("delete", "/api/sessions/{session_id}/outputs/{output_id}"),
    ("delete", "/api/sessions/{session_id}/recordings/{name}"),
    ("delete", "/api/sessions/{session_id}/wishes/{wish_id}"),
    ("patch", "/whip/{name}/{resource_id}"),
    ("patch", "/whep/{name}/{resource_id}"),
    ("delete", "/whip/{name}/{resource_id}"),
    ("delete", "/whep/{name}/{resource_id}"),
}
"""Routes that answer 204 (that of WHIP's and WHEP's DELETE is 200), without a body."""

_SDP_SAYS = (
    "The answer. Location is what PATCH and DELETE go to, ETag what If-Match names, Link the ICE servers."
)
_FILM_TYPES = ("video/mp4", "application/jsonl", "application/zip", "text/vtt")
TEXTS: dict[tuple[str, str], dict[str, tuple[str, tuple[str, ...]]]] = {
    ("get", "/metrics"): {"200": ("Prometheus' text format.", ("text/plain",))},
    ("get", "/watch/{name}"): {"200": ("A page that plays the stream.", ("text/html",))},
    ("get", "/api/sessions/{session_id}/recordings/{name}"): {
        "200": ("The film, its event track, or a journal.", _FILM_TYPES)
    },
    ("get", "/api/sessions/{session_id}/pictures/{number}"): {"200": ("The picture.", ("image/jpeg",))},
    ("get", "/api/sessions/{session_id}/captions.{kind}"): {
        "200": ("What was said, as captions.", ("application/x-subrip", "text/vtt"))
    },
    ("post", "/whip"): {"201": (_SDP_SAYS, (SDP,))},
    ("post", "/whip/{name}"): {"201": (_SDP_SAYS, (SDP,))},
    ("post", "/whep"): {"201": (_SDP_SAYS, (SDP,))},
    ("post", "/whep/{name}"): {"201": (_SDP_SAYS, (SDP,))},
}
"""Routes whose answer is no JSON: what it is, and its media types."""

TAKES: dict[tuple[str, str], str | type[BaseModel]] = {
    ("post", "/whip"): SDP,
    ("post", "/whip/{name}"): SDP,
    ("post", "/whep"): SDP,
    ("post", "/whep/{name}"): SDP,
    ("patch", "/whip/{name}/{resource_id}"): FRAGMENT,
    ("patch", "/whep/{name}/{resource_id}"): FRAGMENT,
    ("post", "/api/sessions/{session_id}/outputs"): OutputBody,
    ("post", "/api/sessions/{session_id}/recordings"): RecordingBody,
    ("post", "/api/sessions/{session_id}/questions"): QuestionBody,
}
"""Bodies that the routes read themselves, so that FastAPI knows nothing of them."""

SOCKETS = {
    "/api/sessions/{session_id}/ws": "Pictures and sound as binary messages, x-messages as text: docs/api.md."
}
"""WebSocket routes, of which OpenAPI has no word."""

REFUSALS = {
    "401": "A password or token is set, and was not given.",
    "403": "Another site's page, an unknown host name, or something that only the server's own machine may.",
    "404": "No such session, or somebody else's.",
    "409": "Not in this state: the session has ended, or somebody publishes under that name.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "422": "The body or a value in it cannot be used; nothing was changed.",
    "429": "Asked too often, or as many sessions as one may have. Retry-After says when.",
    "503": "All places are taken, or the model is not there. Retry-After says when.",
}
INTRODUCTION = """Make a session, offer a WebRTC connection to it (RFC 8829), and change its settings while it
runs. docs/api.md walks through it.

Events and settings also go over the data channel "control" and over a WebSocket (`x-websockets`): one JSON
object a message, listed under `x-messages`. WHIP and WHEP (docs/obs.md) need no session made before."""
_REF = "#/components/schemas/"


def describe(app: FastAPI) -> None:
    """Let the app's OpenAPI document say all this."""
    plain = app.openapi

    def full() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(plain())
        return app.openapi_schema

    app.openapi = full  # type: ignore[method-assign]


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Return FastAPI's document with answers, refusals and messages put in."""
    messages = (*told.CLIENT_MESSAGES, *told.SERVER_MESSAGES)
    bodies = [model for found in ANSWERS.values() for model, _ in found.values()]
    taken = [one for one in TAKES.values() if not isinstance(one, str)]
    models: dict[type[BaseModel], None] = dict.fromkeys([*bodies, *taken, said.Refusal, *messages])
    _, schemas = models_json_schema(
        [(model, "serialization") for model in models], ref_template=_REF + "{model}"
    )
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components.update(schemas["$defs"])
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            responses = route["responses"]
            for status, (model, example) in ANSWERS.get((method, path), {}).items():
                content = {"schema": {"$ref": _REF + model.__name__}, "example": example}
                says = (model.__doc__ or "").strip()
                responses[status] = {"description": says, "content": {"application/json": content}}
            for status, (says, types) in TEXTS.get((method, path), {}).items():
                text = {one: {"schema": {"type": "string"}} for one in types}
                responses[status] = {"description": says, "content": text}
            if (method, path) in TAKES:
                route["requestBody"] = _body_of(TAKES[method, path])
            refusal = {"application/json": {"schema": {"$ref": _REF + "Refusal"}}}
            for status, says in REFUSALS.items():
                responses[status] = {"description": says, "content": refusal}
    document["info"]["description"] = INTRODUCTION
    document["x-messages"] = {
        "client": {"oneOf": [{"$ref": _REF + one.__name__} for one in told.CLIENT_MESSAGES]},
        "server": {"oneOf": [{"$ref": _REF + one.__name__} for one in told.SERVER_MESSAGES]},
    }
    document["x-websockets"] = SOCKETS
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "server.token, where one is set."}
    }
    document["security"] = [{}, {"token": []}]
    return document


def _body_of(taken: str | type[BaseModel]) -> dict[str, Any]:
    if isinstance(taken, str):
        return {"required": True, "content": {taken: {"schema": {"type": "string"}}}}
    schema = {"$ref": _REF + taken.__name__}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
