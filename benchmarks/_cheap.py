"""A stage that costs next to nothing, so that what is left is the way: network, loop, codec, process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from realtime.core.frame import Frame
from realtime.core.stage import Emitted, Live, StageContext, StageSpec

TABLE = {"paint": "benchmarks._cheap:Dim"}


class DimConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Annotated[str, Live()] = Field("", description="Words that it does not read.")
    shade: Annotated[int, Live()] = Field(16, ge=0, le=64, description="How much darker.")
    size_px: int = Field(256, ge=64, le=1024, description="Side of the picture.")


class Dim:
    """Make pictures a little darker; the number in them stays readable."""

    spec = StageSpec("dim", takes=Frame, gives=Frame, config=DimConfig, lane="paint", says="Dims.")

    def __init__(self) -> None:
        self._config = DimConfig()

    def open(self, ctx: StageContext) -> None: ...

    def configure(self, config: DimConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        floor = np.maximum(item.pixels, self._config.shade)
        return (Emitted(item.stamp, Frame(item.stamp, floor - np.uint8(self._config.shade))),)

    def reset(self) -> None: ...

    def close(self) -> None: ...
