"""What stages share that make a map with a model: no model, no map, and it is said so.

A made-up map would steer the painter towards something that is not there; so without a model the frame goes
on as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from realtime.core.frame import Frame, Map
from realtime.core.stage import Emitted, StageContext, StageSpec

Pixels = npt.NDArray[np.uint8]


class ModelConfig(BaseModel):
    """Say which model makes a map, and what runs it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        "", max_length=400, description="Folder or hub:owner/name of the model; without one no map is made."
    )
    engine: Literal["auto", "openvino", "onnx", "tensorrt", "torch"] = Field(
        "auto", description='What runs the network; "auto" takes the fastest that works here.'
    )
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="Number format of the network.")


class Maker(Protocol):
    """Make maps of pictures with a loaded model. Sessions share it, on one thread."""

    def close(self) -> None:
        """Give the memory back."""


class ModelStage:
    """Put the map of the spec's name beside each frame, once there is a model."""

    spec: ClassVar[StageSpec]
    remedy: ClassVar[str]
    """How a person gets a model."""

    def __init__(self) -> None:
        self._config: Any = self.spec.config()
        self._maker: Any = None

    def open(self, ctx: StageContext) -> None:
        """Get the shared model. Raises ModelError for one that is not here or of another kind."""
        name, config = self.spec.name, self._config
        if self._maker is not None:
            return
        if not config.model:
            ctx.report(f'The stage "{name}" has no model and makes no map. {self.remedy}')
            return
        from pipelines.models.store import locate

        folder = Path(locate(config.model))
        key = f"{name} {folder} {config.engine} {config.precision}"
        self._maker = ctx.shared(key, lambda: self.load(folder, config, ctx))

    def configure(self, config: Any) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        if self._maker is None:
            return (Emitted(item.stamp, item, "no map was made: there is no model"),)
        more = {self.spec.name: self.map_of(item)}
        return (Emitted(item.stamp, item.with_maps(**more)),)

    def load(self, folder: Path, config: Any, ctx: StageContext) -> Maker:
        """Return what makes the maps."""
        raise NotImplementedError

    def map_of(self, frame: Frame) -> Map:
        """Return the map of a frame."""
        raise NotImplementedError

    def reset(self) -> None: ...

    def close(self) -> None:
        """Let the model go; who shares it keeps it."""
        self.reset()
        self._maker = None
