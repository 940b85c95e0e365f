"""The settings of a cover over faces and people."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from perception.kinds import MAX_CHARS
from realtime.core.stage import Live


class CoverConfig(BaseModel):
    """Say what is covered, how, and what happens when nothing is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Annotated[Literal["off", "blur", "keep", "paint"], Live()] = Field(
        "off",
        description='"blur" hides in the picture; "keep" has the painter spare them, "paint" only do them.',
    )
    kinds: Annotated[str, Live()] = Field(
        "face",
        max_length=MAX_CHARS,
        description="Kinds of things that are covered, with commas between; empty: all.",
    )
    look: Annotated[Literal["soft", "mosaic", "plain"], Live()] = Field(
        "soft", description='Blur: "soft" melts, "mosaic" leaves squares, "plain" leaves one grey.'
    )
    cells: Annotated[int, Live()] = Field(
        6, ge=1, le=10, description="Blur: how many patches across a thing are left of it; fewer hide more."
    )
    margin: Annotated[float, Live()] = Field(
        0.25, ge=0.0, le=2.0, description="How far beyond a thing its cover reaches, as a share of its size."
    )
    feather_px: Annotated[int, Live()] = Field(
        6, ge=0, le=64, description="Width of the soft edge, outside of what is covered."
    )
    least_score: Annotated[float, Live()] = Field(
        0.25, ge=0.0, le=1.0, description="A thing is covered from this score on."
    )
    hold_ms: Annotated[float, Live()] = Field(
        700.0,
        ge=0.0,
        le=60_000.0,
        description="How long the last place of a thing stays covered when it is no longer found.",
    )
    stale_ms: Annotated[float, Live()] = Field(
        1000.0,
        ge=50.0,
        le=60_000.0,
        description="What was seen in a picture taken longer before or after the shown one does not count.",
    )
    strict: Annotated[bool, Live()] = Field(
        True, description="Cover the whole picture while nothing is known of it, at the start too."
    )
