"""What a person may set about answering."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.stage import Live

EngineName = Literal["events", "watcher", "model", "server"]
Strategy = Literal[
    "hybrid", "voted", "rekv", "novelty", "external", "uniform", "last-k", "full", "flash-vstream",
    "videostreaming", "last-frames",
]  # fmt: skip

MODEL: dict[str, Any] = {"advanced": True, "group": "Video models and servers"}
KEPT: dict[str, Any] = {"advanced": True, "group": "What is kept"}


class AnswerConfig(BaseModel):
    """Say who answers questions about the stream, from what, and how much is kept for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: EngineName = Field(
        "events",
        description='What answers: "events", a data base of what was seen and heard; "watcher", the small '
        'demo model, which knows moving shapes; "model", a video model of your own; "server", an '
        "OpenAI-compatible server.",
    )
    model: str = Field(
        "",
        max_length=400,
        description='The video model: a folder, or "hub:owner/name"; with "server" the name that it goes by.',
        json_schema_extra=MODEL,
    )
    url: str = Field(
        "",
        max_length=2048,
        description="Address of the server, up to and with /v1; its key is VITASCOPE_QA_SERVER_KEY's value.",
        json_schema_extra=MODEL,
    )
    memory: Strategy = Field(
        "hybrid",
        description="How a video model remembers, and finds again what a question needs.",
        json_schema_extra=MODEL,
    )
    every_s: float = Field(
        1.0,
        ge=0.1,
        le=60,
        description="Seconds between two pictures that a video model or server is shown at most.",
        json_schema_extra=MODEL,
    )
    apart: bool = Field(
        True,
        description="Run a video model in a process of its own, which takes less from the painter.",
        json_schema_extra=MODEL,
    )
    disk_gib: float = Field(
        0.0,
        ge=0,
        le=100_000,
        description="GiB of a video model's keys and values on disk beside a memory that is kept; 0: in RAM "
        "only, and forgotten at the end.",
        json_schema_extra=KEPT,
    )
    spoken: Annotated[bool, Live()] = Field(
        True, description="Take what is said after the phrase as a question, in a session that hears."
    )
    phrase: Annotated[str, Live()] = Field(
        "question",
        min_length=3,
        max_length=40,
        description="What a spoken question begins with.",
        json_schema_extra={"advanced": True},
    )
    keep: str = Field(
        "",
        max_length=40,
        pattern=r"^[A-Za-z0-9_-]*$",
        description="Name of a memory that is kept on this machine's disk and found again after a restart; "
        "empty: nothing is written to disk.",
        json_schema_extra=KEPT,
    )
    keep_mib: int = Field(
        512,
        ge=8,
        le=1_000_000,
        description="MiB that the memory may take; the oldest goes first.",
        json_schema_extra=KEPT,
    )
    keep_h: float = Field(
        24.0,
        gt=0,
        le=24 * 366,
        description="Hours that anything is remembered.",
        json_schema_extra=KEPT,
    )
