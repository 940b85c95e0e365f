"""What the routes answer, as schemas: for /api/openapi.json, and checked by tests.

The routes build their answers themselves; these models say what is in them. More fields may come later, so
clients should not mind those that they do not know.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Engine(BaseModel):
    """What paints."""

    name: str
    why: str = ""


class SessionMade(BaseModel):
    """A new session; offer to it within `server.connect_timeout_s`."""

    id: str = Field(description="Its secret name: whoever knows it may use the session.")
    state: Literal["opening", "live"]
    ice_servers: list[dict[str, Any]] = []
    ice_transport_policy: Literal["relay"] | None = None
    engine: Engine | None = None


class IceServers(BaseModel):
    """What to make a connection with, as RTCPeerConnection takes it; logins last from now on."""

    ice_servers: list[dict[str, Any]] = []
    ice_transport_policy: Literal["relay"] | None = Field(None, description="Set for relays only.")


class Queued(BaseModel):
    """A place in the queue, when all places are taken."""

    ticket: str
    place: int = Field(ge=1, description="1 is next.")
    of: int
    is_turn: bool = Field(description="Whether a place is kept: create the session now, with this ticket.")
    retry_after_s: float
    turn_ends_s: float | None = None


class SdpAnswer(BaseModel):
    """The answer to an offer."""

    type: Literal["answer"]
    sdp: str


class SettingsNow(BaseModel):
    """All settings of a session after a change."""

    settings: dict[str, Any]


class Figures(BaseModel):
    """How a session is doing. Times in ms over the last 10 s."""

    age_p50_ms: float
    age_p95_ms: float
    fps: float
    repeated: int = 0
    dropped: int = 0
    wait_ms: float | None = None
    work_ms: float | None = None
    send_ms: float | None = None
    path: str | None = Field(None, description='What carries the pictures: "webrtc", "websocket", ...')
    sound_ms: float | None = Field(None, description="How long sound waits for its pictures.")
    events_lost: int | None = Field(None, description="Events that the memory could not take.")
    engine: str | None = None


class SessionSeen(BaseModel):
    """State, settings, figures and newest events of a session."""

    state: Literal["new", "opening", "live", "draining", "closed", "failed"]
    why: str = Field(description="Why it ended; empty while it has not.")
    age_s: float
    settings: dict[str, Any]
    engine: Engine | None
    figures: Figures | None
    events: list[dict[str, Any]]


class OutputMade(BaseModel):
    """An outgoing stream that has begun."""

    id: str


class Output(BaseModel):
    """How one outgoing stream, or a recording, is doing."""

    id: str
    kind: Literal["rtmp", "rtsp", "hls", "file", "camera", "recording"]
    picture: Literal["painted", "original", "both"]
    name: str = Field(description="Where it goes; no password of an address is in it.")
    state: Literal["starting", "running", "waiting", "ended", "failed"]
    pictures: int
    repeated: int = Field(description="Of those, shown again since no newer one was there.")
    dropped: int
    connections: int
    error: str = ""


class Outputs(BaseModel):
    """The outgoing streams of a session."""

    outputs: list[Output]


class RecordingMade(BaseModel):
    """A recording that has begun."""

    name: str


class RecordingKept(BaseModel):
    """One film, or the journal of a session that was made with `journal`."""

    name: str
    events: str = Field(description="Name of the event track, one JSON object a line.")
    captions: str = Field(
        description="Name of the captions, WebVTT, once it has ended; empty if there are none."
    )
    bytes: int
    running: bool
    why: str = Field(description="Why it ended by itself; empty if it did not.")


class Recordings(BaseModel):
    """The recordings of a session, also of one that has ended."""

    recordings: list[RecordingKept]


class Moment(BaseModel):
    """A moment that an answer rests on."""

    ago_s: float
    lasted_s: float
    says: str
    picture: int | None = Field(None, description="Number of the kept picture that shows it.")


class Answered(BaseModel):
    """What became of a question, or of a wish; a server tells the same to the session's clients."""

    type: Literal["answer", "wish"]
    id: int = Field(description="0 for a question that was refused at once.")
    question: str
    text: str = Field("", description="The answer up to now.")
    final: bool = Field(True, description="Whether nothing more will come.")
    asked_ago_s: float | None = None
    engine: str | None = Field(None, description="Name of what answered.")
    observed: bool = Field(True, description="Whether what was asked about was seen or heard.")
    confidence: float | None = None
    known_ago_s: float | None = Field(None, description="Age of the newest picture that was known.")
    moments: list[Moment] = []
    cancelled: bool = False
    error: str | None = None
    hint: str | None = None
    says: str | None = Field(None, description="Of a wish: how it was understood.")
    on: bool | None = Field(None, description="Of a wish: whether it is watched for.")


class Answers(BaseModel):
    """What was asked, what is watched for, and what answers."""

    engine: dict[str, str] | None
    answers: list[Answered]
    wishes: list[dict[str, Any]]


class Forgotten(BaseModel):
    """How many records were deleted."""

    forgotten: int


class FileKept(BaseModel):
    """A video that was sent."""

    id: str


class Look(BaseModel):
    """One look that the painter knows."""

    id: str
    title: str
    prompt: str
    about: str


class Looks(BaseModel):
    """The words that the painter understands."""

    is_open: bool = Field(description="Whether it takes any words.")
    looks: list[Look]
    moods: dict[str, list[str]]
    strengths: dict[str, float]


class Health(BaseModel):
    """Whether the server is alive, and how full it is."""

    status: Literal["ok"]
    painter: dict[str, Any]
    sessions: int
    max_sessions: int
    free_sessions: int
    stage_ms_p95: float = Field(description="Of the slowest stage that runs.")
    loop_lag_ms_p95: float


class Said(BaseModel):
    message: str = Field(description="What happened, as a sentence.")
    hint: str = Field(description="What to do.")
    kind: str


class Refusal(BaseModel):
    """The body of every status from 400 on."""

    error: Said
