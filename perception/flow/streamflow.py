"""StreamFlow as an estimator: windows of several pictures instead of pairs, on a shared engine.

Live, a window ends with the newest picture and begins with the flow of the window before; only its last pair
is new. In a film a window's pairs are all new. Back goes a second window, turned round in time, so that each
costs a run: twice what the network costs for one direction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.core.errors import ConfigError, ModelMissing

from .estimator import Pixels, Ways
from .value import Field

if TYPE_CHECKING:
    from torch import Tensor

    from perception.nets.streamflow.model import Flows, StreamFlow
    from pipelines.engines.base import Report
    from realtime.core.stage import StageContext

    from .config import FlowConfig

ID = "streamflow"
MOST_BYTES = 6_000_000_000
"""A picture for which the network would take more is refused."""


class FlowNet:
    """Run the network. Any number of streams and threads: each call waits for the one before it."""

    def __init__(
        self, model: StreamFlow, digest: str, rounds: int, engine: str, report: Report = lambda sentence: None
    ) -> None:
        """Make the engine. Raises EngineError when the one that was asked for cannot run it."""
        from perception.nets.streamflow.networks import example, flow_network
        from pipelines.engines.choose import choose

        self.plan, self.frames = model.plan, model.frames
        network = flow_network(model, digest, rounds)
        least_px = self.plan.least_px
        given = example(model, least_px, least_px)
        self._engine = choose(network, wanted=engine, precision="fp32", example=given, report=report)
        self._lock = threading.Lock()
        """Held for one run, until what was found is copied: an engine writes to the same memory again."""

    @property
    def says(self) -> str:
        """What runs it, in two words: "openvino fp32"."""
        return f"{self._engine.info.backend} {self._engine.info.precision}"

    def run(self, frames_BT3HW: Tensor, start_BS2HW: Tensor | None) -> Flows:
        """Return the flows of padded pictures, the caller's own; without a start from no motion."""
        import torch

        from perception.nets.streamflow.model import Flows
        from perception.nets.streamflow.plans import STRIDE

        if start_BS2HW is None:
            batch, _, _, height, width = frames_BT3HW.shape
            start_BS2HW = torch.zeros(batch, self.frames - 1, 2, height // STRIDE, width // STRIDE)
        with self._lock:
            found = self._engine.run(frames=frames_BT3HW, start=start_BS2HW)
            return Flows(found["flow"].float().cpu().clone(), found["cells"].float().cpu().clone())

    def close(self) -> None:
        """Give the memory back."""
        self._engine.close()


class StreamFlowEstimator:
    """Find the flow of one stream; it remembers the last pictures and the flows between them."""

    name = ID

    def __init__(self, net: FlowNet, *, is_warm: bool) -> None:
        """Take `is_warm` for a stream whose windows lie one picture apart and begin with what was found."""
        from perception.nets.streamflow.windows import Live

        self.says, self.at_once = net.says, net.frames - 1
        self._net, self._is_warm = net, is_warm
        self._size = (0, 0)
        self._there = self._back = Live()

    def seen(self, pixels: Pixels) -> Tensor:
        """Return a picture as the network takes it, (3, h, w). ConfigError for too small or large a one."""
        import torch

        from perception.nets.streamflow.sides import padded

        height, width = pixels.shape[:2]
        self._check(height, width)
        self._size = (height, width)
        picture = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))
        return padded(picture[None, None])[0, 0]

    def ways(self, seen: Sequence[Tensor]) -> list[Ways]:
        from perception.nets.streamflow.windows import Live, onward

        first, *more = seen
        if not self._there.frames or self._there.frames[-1] is not first:
            self._there = self._back = Live((first,))
        length, run, warm = self._net.frames, self._net.run, self._is_warm
        self._there, there = onward(self._there, more, length, run, is_warm=warm)
        self._back, back = onward(self._back, more, length, run, is_warm=warm, is_back=True)
        return [Ways(self._field(one), self._field(other)) for one, other in zip(there, back, strict=True)]

    def reset(self) -> None:
        from perception.nets.streamflow.windows import Live

        self._there = self._back = Live()

    def close(self) -> None:
        self.reset()

    def _field(self, flow_2HW: Tensor) -> Field:
        from perception.nets.streamflow.sides import cropped

        inner = cropped(flow_2HW, *self._size)
        return np.ascontiguousarray(inner.permute(1, 2, 0).numpy(), np.float32)

    def _check(self, height: int, width: int) -> None:
        from perception.nets.streamflow.sides import check_sides, memory_bytes

        check_sides(height, width, self._net.plan)
        needed = memory_bytes(self._net.plan, self._net.frames, height, width)
        if needed > MOST_BYTES:
            raise ConfigError(
                f"This flow network would take about {needed / 1e9:.0f} GB for a picture of "
                f"{width}x{height} px: it compares each place with each other.",
                hint="Set longest_px lower, or half.",
            )


def load_streamflow(config: FlowConfig, ctx: StageContext) -> StreamFlowEstimator:
    """Return the estimator of one stream, on an engine that streams share.

    `config.weights` is "streamflow", ours, a folder like it, or a published checkpoint that a person has.
    Raises ModelMissing, ModelCorrupt or ModelError for weights that are not there or do not fit, EngineError
    when the engine that was asked for cannot run them.
    """
    return StreamFlowEstimator(net_of(config, ctx.shared, ctx.report), is_warm=ctx.is_live)


def net_of(
    config: FlowConfig,
    shared: Callable[[str, Callable[[], Any]], Any] = lambda key, make: make(),
    report: Report = lambda sentence: None,
) -> FlowNet:
    """Return the network that the settings ask for, see `load_streamflow`."""
    where = _located(config.weights)

    def make() -> FlowNet:
        return FlowNet(*_read(where), config.rounds, config.engine, report)

    net: FlowNet = shared(f"flow {where} {config.engine} {config.rounds}", make)
    return net


def _located(weights: str) -> Path:
    """Return the folder or the file of weights."""
    from pipelines.models.store import locate

    path = Path(weights).expanduser()
    if path.is_file():
        return path.resolve()
    if path.suffix in (".pth", ".pt", ".ckpt"):
        raise ModelMissing(f"There is no file {path}.", hint="Give the path of a StreamFlow checkpoint.")
    return locate(weights)


def _read(where: Path) -> tuple[StreamFlow, str]:
    """Return the network of a folder or a checkpoint, and the name of its weights."""
    from perception.nets.streamflow.weights import from_checkpoint, from_folder
    from pipelines.models.checksums import sum_of
    from pipelines.models.store import digest

    if where.is_dir():
        return from_folder(where)[0], digest(where)
    return from_checkpoint(where), sum_of(where).sha256
