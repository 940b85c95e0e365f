"""A detector's network, made ready once and shared between streams: a picture in, arrays out."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.engines.base import EngineInfo, Network, Report
from pipelines.engines.choose import choose

Arrays = dict[str, npt.NDArray[Any]]


class SharedNet:
    """Run a network of one input, "picture" (1, 3, H, W) in [0, 1]. Any number of streams and threads."""

    def __init__(self, network: Network, engine: str, precision: str, report: Report) -> None:
        """Make the engine. Raises EngineError when the one that was asked for cannot run it."""
        import torch

        (spec,) = network.inputs
        _, planes, height, width = spec.dims
        self.height_px, self.width_px = int(height), int(width)
        shape = (1, int(planes), self.height_px, self.width_px)
        self._lock = threading.Lock()
        """Held for one run, until what was found is copied: the engine writes to the same memory again."""
        self._engine = choose(
            network,
            wanted=engine,
            precision=precision,
            example={"picture": torch.rand(shape, generator=torch.Generator().manual_seed(0))},
            report=report,
        )

    @property
    def info(self) -> EngineInfo:
        """What runs it."""
        return self._engine.info

    @property
    def says(self) -> str:
        """What runs it, in two words: "openvino fp32"."""
        return f"{self.info.backend} {self.info.precision}"

    def run(self, planes_13HW: npt.NDArray[np.float32]) -> Arrays:
        """Return the outputs by name, as float32 arrays of the caller's own."""
        import torch

        with self._lock:
            found = self._engine.run(picture=torch.from_numpy(planes_13HW))
            return {name: np.array(value.float().cpu().numpy()) for name, value in found.items()}

    def close(self) -> None:
        """Give the memory back."""
        self._engine.close()
