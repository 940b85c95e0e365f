"""What finds the flow: pictures of one stream in, the motion between them out, there and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .value import Field

if TYPE_CHECKING:
    from realtime.core.stage import StageContext

    from .config import FlowConfig

Pixels = npt.NDArray[np.uint8]


class Ways(NamedTuple):
    """Hold the flow between two pictures, (H, W, 2) each, in cells."""

    there_HW2: Field
    """How far what is at each cell of the earlier picture has gone in the later one."""
    back_HW2: Field
    """How far what is at each cell of the later picture was from there in the earlier one."""


class Estimator(Protocol):
    """Find the flow between pictures of one stream, all of one size. One thread at a time."""

    name: str
    """As settings name it."""
    says: str
    """What runs it, in a few words: "openvino fp32"."""
    at_once: int
    """Pairs that it finds at once where nobody waits for the first of them; 1 for most."""

    def seen(self, pixels: Pixels) -> Any:
        """Return what is kept of a picture (H, W, 3). Raises ConfigError for one that is too small."""

    def ways(self, seen: Sequence[Any]) -> list[Ways]:
        """Return the flow of each pair of neighbours in `seen`, at most `at_once` of them.

        The first is the last one of the call before, unless `reset` came between.
        """

    def reset(self) -> None:
        """Forget the stream: what comes next has nothing to do with what was before."""

    def close(self) -> None:
        """Let go of what is this stream's own. Engines are shared and stay."""


Make = Callable[["FlowConfig", "StageContext"], Estimator]


def make(config: FlowConfig, ctx: StageContext) -> Estimator:
    """Return what the settings ask for.

    Raises ModelError for weights that are not here or do not fit, EngineError when the engine that was asked
    for cannot run them.
    """
    if config.method == "streamflow":
        from .streamflow import load_streamflow

        return load_streamflow(config, ctx)
    from .dis import Dis

    return Dis(config.method)
