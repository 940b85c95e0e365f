"""What goes over the data channel "control", and as text over a WebSocket: one JSON object each, as schemas.

For /api/openapi.json, and checked by tests. More fields may come later, so clients should not mind those that
they do not know.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from .answers import Answered, Engine, Figures, Moment


class Hello(BaseModel):
    """Client, over a WebSocket only, first and once: the codecs that it decodes, the best first."""

    type: Literal["hello"]
    takes: list[Literal["h264", "jpeg"]] = Field(min_length=1)


class Ping(BaseModel):
    """Client: I am here. Send one each second; a client that has sent one and falls silent is let go.

    Over a WebSocket the server sends them too, and closes after 5 s in which it hears nothing.
    """

    type: Literal["ping"]
    sent_ms: float | None = None


class ChangeSettings(BaseModel):
    """Client: change live settings from the next picture on, as PATCH does."""

    type: Literal["settings"]
    settings: dict[str, Any]


class Ask(BaseModel):
    """Client: ask about what was seen and heard, or wish to be told when something happens."""

    type: Literal["ask"]
    question: str


class AskAloud(BaseModel):
    """Client: the next words that are heard are a question."""

    type: Literal["ask-aloud"]


class Cancel(BaseModel):
    """Client: want no answer to a question any more."""

    type: Literal["cancel"]
    id: int


class Unwatch(BaseModel):
    """Client: take a wish back."""

    type: Literal["unwatch"]
    id: int


class Pong(BaseModel):
    """Either side: the answer to a ping, with its `sent_ms`."""

    type: Literal["pong"]
    sent_ms: float | None = None


class Progress(BaseModel):
    """Server: something is being prepared."""

    type: Literal["progress"]
    message: str
    fraction: float | None = Field(None, ge=0, le=1)


class Ready(BaseModel):
    """Server: pictures come from now on."""

    type: Literal["ready"]
    engine: Engine | None = None


class Stats(Figures):
    """Server: the figures, every `server.stats_interval_s`."""

    type: Literal["stats"]


class Notice(BaseModel):
    """Server: something worth a line under the picture."""

    type: Literal["notice"]
    message: str
    hint: str = ""


class Trouble(BaseModel):
    """Server: an error. A permanent one ends the session."""

    type: Literal["error"]
    message: str
    hint: str
    kind: str
    permanent: bool = False


class AnswerTold(Answered):
    """Server: an answer as far as it is; `final` with the last part."""

    type: Literal["answer"]


class WishTold(BaseModel):
    """Server: a wish is watched for from now on, or no more."""

    type: Literal["wish"]
    id: int
    says: str = Field(description="How it was understood.")
    question: str = ""
    on: bool


class Alert(BaseModel):
    """Server: what somebody wished to be told of has happened."""

    type: Literal["alert"]
    id: int = Field(description="Of the wish.")
    says: str
    moment: Moment


class Move(BaseModel):
    """Server: another worker serves this session now; make a new connection and offer to the same id."""

    type: Literal["move"]
    message: str


class Recording(BaseModel):
    """Server: a recording begins, or has ended."""

    type: Literal["recording"]
    on: bool
    name: str
    why: str = Field("", description="Why it ended by itself.")


class PathChosen(BaseModel):
    """Server, over a WebSocket: what it sends pictures with; the answer to a hello."""

    type: Literal["path"]
    path: str
    codec: Literal["h264", "jpeg"]


class Size(BaseModel):
    """Server, over a WebSocket: the side of the square that is painted; larger pictures are cut to it."""

    type: Literal["size"]
    size_px: int | None


CLIENT_MESSAGES: tuple[type[BaseModel], ...] = (
    Hello,
    Ping,
    Pong,
    ChangeSettings,
    Ask,
    AskAloud,
    Cancel,
    Unwatch,
)
SERVER_MESSAGES: tuple[type[BaseModel], ...] = (
    Progress,
    Ready,
    Stats,
    Notice,
    Trouble,
    AnswerTold,
    WishTold,
    Alert,
    Move,
    Recording,
    Ping,
    Pong,
    PathChosen,
    Size,
)
