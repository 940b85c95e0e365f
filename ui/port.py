"""What the page needs from the application, stated here so that `ui` never imports `app`.

`app` satisfies `StudioPort`; tests satisfy it with a few lines. The page also talks to these routes, from the
browser (assets/api.js), since a camera cannot pass through Gradio:

    POST  /api/sessions               {"source": {"kind": "webrtc" | "pattern" | "file" | "url",
                                                  "file"?: id, "url"?: address},
                                       "settings": {}}
                                      -> {"id": str, "ice_servers"?: [], "ice_transport_policy"?: "relay",
                                          "engine"?: {"name", "why"}}
                                      or, with 202, a place in the queue as below; then again with "ticket"
    GET   /api/tickets/{ticket}       -> {"ticket", "place", "of", "is_turn", "retry_after_s"}; 404 once void
    POST  /api/tickets/{ticket}/close gives the place up; 204
    GET   /api/sessions/{id}/ice      -> {"ice_servers"?, "ice_transport_policy"?} with a fresh login
    POST  /api/sessions/{id}/offer    {"sdp", "type": "offer"} -> {"sdp", "type": "answer"}
    GET   /api/sessions/{id}/ws       a WebSocket instead of the offer, where WebRTC does not get through
    POST  /api/sessions/{id}/close    sent by `navigator.sendBeacon` when the page goes away; 204
    POST  /api/sessions/{id}/recordings          {} -> {"name": str}; DELETE .../{name} ends it, GET gives it
    GET   /api/sessions/{id}/captions.srt, .vtt  what was said, also after the session has ended
    GET   /api/sessions/{id}/pictures/{number}   a kept picture (JPEG) that an answer points to
    DELETE /api/sessions/{id}/memory             forgets all that was seen and heard
    POST  /api/files                  multipart, field "file" -> {"id": str}
    errors                            {"error": {"message", "hint", "kind"}} with the right status; 503 = busy

and hears these events over the data channel "control" or the WebSocket, one JSON object each:

    {"type": "progress", "message", "fraction"?: 0..1}     while models load and engines are built
    {"type": "ready", "engine"?: {"name", "why"}}          from now on pictures come
    {"type": "stats", "age_p95_ms", "fps", "repeated"?, "dropped", "wait_ms"?, "painted_fps"?,
     "paint_age_p50_ms"?, ...}                                                  twice a second
    {"type": "recording", "on": bool, "name"}              a recording runs, or has ended
    {"type": "seen", "detector", "things": [{"id", "name", "score", "box", "velocity"}], ...}    what is where
    {"type": "heard", "turn", "utterance", "text", "tail", "begin_s", ...}    what is said; final at "end"
    {"type": "command", "outcome", "text", "confidence", "changes"?, "refused"?, "undoes"?, "does"?}
    {"type": "motion", "camera", "speed", "camera_moves", "things_move", ...}    how the picture moves
    {"type": "result", "node", "what", "says", ...}        something began or ended: a person came in
    {"type": "answer", "id", "question", "text", "final", "observed"?, "engine"?, "moments"?, "error"?, ...}
    {"type": "wish", "id", "says", "on"}                   something is watched for, or no more
    {"type": "alert", "id", "says", "moment"}              it has happened
    {"type": "notice", "message", "hint"?}                 worth a line under the picture
    {"type": "error", "message", "hint", "kind", "permanent"?: bool}    a card; over the picture if permanent

It sends {"type": "ping", "sent_ms"} each second and hears {"type": "pong", "sent_ms"}; and it sends
{"type": "settings", "settings": {"sound": bool}} when the person turns the loudspeaker on or off, likewise
"talk" of the node that hears commands while its button is held, {"type": "undo"}, {"type": "ask",
"question"}, {"type": "ask-aloud"} (the next words are a question) and {"type": "unwatch", "id"}. Sound is a
track of the same stream as the pictures, both ways.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Look:
    """Describe one look that the model paints."""

    id: str
    title: str
    """What stands under its thumbnail."""
    prompt: str
    """The words that a click on the thumbnail puts into the prompt."""
    about: str = ""
    """One sentence."""
    words: tuple[str, ...] = ()
    """Wordings that mean this look."""
    thumbnail: Path | None = None
    """Square picture; without one the page draws a plain card."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Hold the words that a model with a small vocabulary understands."""

    looks: tuple[Look, ...] = ()
    moods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a colour mood to the wordings that mean it; the first wording is what a click writes."""
    strengths: Mapping[str, float] = field(default_factory=dict)
    """Strength word to the share of the change that it asks for."""
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Other wordings that are understood, to the known words that they stand for."""
    is_open: bool = False
    """True for a model that takes any words: the page then judges no word of a prompt."""

    @classmethod
    def read(cls, folder: Path) -> Vocabulary:
        """Read `vitascope.json` of a model folder. Thumbnails that are not there are left out."""
        seen: dict[str, Any] = json.loads((folder / "vitascope.json").read_text(encoding="utf-8"))
        return cls(
            looks=tuple(_look(item, folder) for item in seen.get("looks", ())),
            moods={name: tuple(words) for name, words in seen.get("moods", {}).items()},
            strengths=dict(seen.get("strengths", {})),
            synonyms=dict(seen.get("synonyms", {})),
        )


def _look(item: Mapping[str, Any], folder: Path) -> Look:
    picture = folder / item["thumbnail"] if item.get("thumbnail") else None
    return Look(
        id=item["id"],
        title=item["title"],
        prompt=item["prompt"],
        about=item.get("about", ""),
        words=tuple(item.get("words", ())),
        thumbnail=picture if picture is not None and picture.is_file() else None,
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """Describe the settings of a node beside the main one: a fold of the page."""

    node: str
    """What their names begin with, before a dot."""
    title: str
    schema: type[BaseModel]
    defaults: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EngineBadge:
    """Say which back end paints, and why that one."""

    name: str
    why: str = ""


class StudioPort(Protocol):
    """Serve the page. Called from Gradio's worker threads."""

    def schema(self) -> type[BaseModel]:
        """Return the model of the painter's settings; the controls are made from its fields."""

    def defaults(self) -> Mapping[str, Any]:
        """Return the values that a new session starts with, by field name."""

    def folds(self) -> Sequence[Fold]:
        """Return the settings of the other nodes of the graph, in the order of the page."""

    def vocabulary(self) -> Vocabulary:
        """Return the words that the painter understands."""

    def writes(self) -> bool:
        """Tell whether words are written into the pictures: they are not mirrored then."""

    def hears(self) -> bool:
        """Tell whether something listens: the page asks for the microphone then."""

    def answers(self) -> bool:
        """Tell whether questions about the stream are answered."""

    def engine(self) -> EngineBadge:
        """Return what paints now, or what will."""

    def configure(self, session_id: str, settings: Mapping[str, Any]) -> None:
        """Apply live settings to a running session, from the next picture on.

        Raises VitascopeError for an unknown session or a value that cannot be.
        """
