"""The settings of the stage that shows pictures between paintings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.stage import Live


class FillConfig(BaseModel):
    """Say whether paintings are moved along, and how finely."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    between: Annotated[bool, Live()] = Field(
        True, description="Show a picture for each one of the camera; off: each painting once, as it is."
    )
    method: Literal["dis-ultrafast", "dis-fast", "dis-medium"] = Field(
        "dis-fast", description="What finds the motion: dense inverse search, from the fastest to the best."
    )
    shorter_px: Annotated[int, Live()] = Field(
        256,
        ge=64,
        le=720,
        description="Shorter side of the picture in which motion is sought, at most.",
    )
    relight: Annotated[float, Live()] = Field(
        0.9,
        ge=0.0,
        le=1.0,
        description="How far the camera lightens and darkens what motion does not explain. 0: not at all.",
    )
    stale_ms: Annotated[float, Live()] = Field(
        1000.0, ge=50.0, le=5000.0, description="A painting of an older picture is not moved any more."
    )
