"""The overlay's settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from perception.kinds import MAX_CHARS
from realtime.core.stage import Live


class OverlayConfig(BaseModel):
    """Say what is drawn, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    boxes: Annotated[bool, Live()] = Field(True, description="Draw a box around each thing.")
    labels: Annotated[bool, Live()] = Field(True, description="Write what each thing is.")
    scores: Annotated[bool, Live()] = Field(True, description="Write beside it how sure the detector is.")
    ids: Annotated[bool, Live()] = Field(False, description="Write beside it the number of each thing.")
    speed: Annotated[bool, Live()] = Field(
        False, description="Write beside it how many percent of the picture's width it moves in a second."
    )
    trails: Annotated[bool, Live()] = Field(False, description="Draw where each thing has been.")
    zones: Annotated[bool, Live()] = Field(True, description="Draw the zones and lines that are watched.")
    names: Annotated[str, Live()] = Field(
        "",
        max_length=MAX_CHARS,
        description="Kinds of things that are drawn, with commas between; empty: all.",
    )
    least_score: Annotated[float, Live()] = Field(
        0.3, ge=0.0, le=1.0, description="A thing is drawn from this score on."
    )
    line_px: Annotated[float, Live()] = Field(
        0.0, ge=0.0, le=12.0, description="Width of the boxes' lines; 0 goes by the picture's size."
    )
    text_px: Annotated[int, Live()] = Field(
        0, ge=0, le=64, description="Size of the letters; 0 goes by the picture's size."
    )
    trail_s: Annotated[float, Live()] = Field(
        1.0, ge=0.1, le=10.0, description="How far back a trail reaches, in seconds."
    )
    stale_ms: Annotated[float, Live()] = Field(
        1500.0,
        ge=50.0,
        le=60_000.0,
        description="What was seen in a picture taken longer before or after the shown one is not drawn.",
    )
