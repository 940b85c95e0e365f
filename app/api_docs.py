"""What /api/openapi.json says beyond what FastAPI finds out: answers with examples, refusals, and messages.

Each route under /api stands in ANSWERS; a test fails for one that does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import answers as said

if TYPE_CHECKING:
    from fastapi import FastAPI

ID = "jQ3vJ8mB0mXw2bYp6kRz1c5A"
_SETTINGS = {"prompt": "pencil sketch", "strength": 0.8, "steps": 1}
_FIGURES = {"age_p50_ms": 41.2, "age_p95_ms": 63.0, "fps": 29.8, "dropped": 3}
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
                "loop_lag_ms_p95": 0.4,
            },
        )
    },
}
SILENT = {
    ("delete", "/api/sessions/{session_id}"),
    ("post", "/api/sessions/{session_id}/close"),
    ("post", "/api/tickets/{ticket}/close"),
}
"""Routes that answer 204, without a body."""

REFUSALS = {
    "401": "A password or token is set, and was not given.",
    "403": "Another site's page, an unknown host name, or something that only the server's own machine may.",
    "404": "No such session, or somebody else's.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "422": "The body or a value in it cannot be used; nothing was changed.",
    "429": "Asked too often, or as many sessions as one may have. Retry-After says when.",
    "503": "All places are taken, or the model is not there. Retry-After says when.",
}
INTRODUCTION = """Make a session, offer a WebRTC connection to it (RFC 8829), and change its settings while it
runs. docs/api.md walks through it.

Events and settings also go over the data channel "control" and over a WebSocket: one JSON object a message,
listed under `x-messages`."""
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
    messages = (*said.CLIENT_MESSAGES, *said.SERVER_MESSAGES)
    bodies = [model for found in ANSWERS.values() for model, _ in found.values()]
    models: dict[type[BaseModel], None] = dict.fromkeys([*bodies, said.Refusal, *messages])
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
            refusal = {"application/json": {"schema": {"$ref": _REF + "Refusal"}}}
            for status, says in REFUSALS.items():
                responses[status] = {"description": says, "content": refusal}
    document["info"]["description"] = INTRODUCTION
    document["x-messages"] = {
        "client": {"oneOf": [{"$ref": _REF + one.__name__} for one in said.CLIENT_MESSAGES]},
        "server": {"oneOf": [{"$ref": _REF + one.__name__} for one in said.SERVER_MESSAGES]},
    }
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "server.token, where one is set."}
    }
    document["security"] = [{}, {"token": []}]
    return document
