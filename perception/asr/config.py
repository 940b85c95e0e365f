"""What a person may set about hearing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.stage import Live

from .endpoint import TAIL_MS, EndRules

ENDS: dict[str, Any] = {"advanced": True, "group": "Where an utterance ends"}


class HearConfig(BaseModel):
    """Say who recognises speech, how much of the time it may take, and where an utterance ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str = Field(
        "auto",
        max_length=40,
        description='What recognises speech: "moonshine", "whisper", "fastconformer" or "sherpa" (these '
        'with a model of your own); "auto": the best that is here.',
    )
    model: str = Field(
        "",
        max_length=400,
        description="A model of your own: a folder, a file, or a name; empty: what comes with the engine.",
    )
    finals: Literal["auto", "same", "whisper"] = Field(
        "auto",
        description='What says the final words: "same" as the engine, or "whisper"; "auto": Whisper after '
        "Moonshine where it is installed.",
    )
    lookahead: Annotated[int, Live()] = Field(
        -1,
        ge=-1,
        le=64,
        description="Frames of the future (80 ms each in published models) that a FastConformer waits for, "
        "from the next utterance on: fewer are quicker, more err less. -1: as it likes.",
        json_schema_extra={"advanced": True},
    )
    share: Annotated[float, Live()] = Field(
        0.4,
        ge=0.05,
        le=1.0,
        description="Share of the time that partial texts may take; with less they come more rarely.",
    )
    least_voice: Annotated[float, Live()] = Field(
        0.5,
        ge=0.1,
        le=0.95,
        description="How sure it must be that somebody speaks.",
        json_schema_extra=ENDS,
    )
    preroll_ms: Annotated[float, Live()] = Field(
        400.0,
        ge=0,
        le=1000,
        description="Sound before the first sure speech that belongs to it.",
        json_schema_extra=ENDS,
    )
    eager_ms: Annotated[float, Live()] = Field(
        350.0,
        ge=100,
        le=3000,
        description="Silence after which an utterance is probably over.",
        json_schema_extra=ENDS,
    )
    end_ms: Annotated[float, Live()] = Field(
        800.0, ge=200, le=5000, description="Silence after which it is over.", json_schema_extra=ENDS
    )
    max_s: Annotated[float, Live()] = Field(
        15.0,
        ge=5,
        le=28,
        description="Longest utterance; speech without a pause is cut where it is quiet.",
        json_schema_extra=ENDS,
    )

    def rules(self) -> EndRules:
        """Return what the endpointer goes by."""
        return EndRules(
            begins_at=self.least_voice,
            stays_at=max(0.05, self.least_voice - 0.15),
            preroll_ms=self.preroll_ms,
            eager_ms=min(self.eager_ms, self.end_ms),
            end_ms=self.end_ms,
            tail_ms=min(TAIL_MS, self.end_ms),
            max_s=self.max_s,
            search_s=self.max_s / 3,
        )
