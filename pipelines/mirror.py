"""The stage that passes pictures on: what is left is the camera, the network and this program's own way.

It tests a camera and a network with no model in between, and measures what transport alone costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.frame import Frame
from realtime.core.stage import Emitted, StageContext, StageSpec


class MirrorConfig(BaseModel):
    """Say which part of the picture comes back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_px: int = Field(
        0,
        ge=0,
        le=2048,
        multiple_of=2,
        description="Side of the square that comes back; 0 returns the picture whole, at its own size.",
    )


class MirrorStage:
    """Give each picture back as it came."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="mirror",
        takes=Frame,
        gives=Frame,
        config=MirrorConfig,
        lane="paint",
        says="Gives your own picture back: a test of camera and network.",
    )

    def open(self, ctx: StageContext) -> None: ...

    def configure(self, config: MirrorConfig) -> None: ...

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        return () if item is None else (Emitted(item.stamp, item),)

    def reset(self) -> None: ...

    def close(self) -> None: ...
