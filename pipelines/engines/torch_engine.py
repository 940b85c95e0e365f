"""Plain torch as an engine: the reference that is always there, on the CPU and on a GPU.

Weights and pictures lie channels last, which with bf16 is 4 to 6 times the speed of the default layout on a
CPU that knows bf16. Outputs are copied to buffers of the engine, so that every back end keeps the same
promise.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Mapping

import torch

from realtime.core.errors import EngineError, EngineUnavailable

from .base import Engine, EngineInfo, Key, Network, Report, Shapes, key_of, shapes_of

KEPT_SHAPES = 8
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchEngine:
    """Run a network's module eagerly on one device."""

    def __init__(self, network: Network, precision: str, device: str) -> None:
        self._network = network
        self._dtype = DTYPES[precision]
        self._device = torch.device(device)
        module = network.module
        weight = next(module.parameters(), None)
        if weight is not None and (weight.dtype, weight.device.type) != (self._dtype, self._device.type):
            module = copy.deepcopy(module)  # the network's own module stays the reference
        self._module: torch.nn.Module | None = module.eval().to(
            device=self._device, dtype=self._dtype, memory_format=torch.channels_last
        )
        self._buffers: OrderedDict[Key, dict[str, torch.Tensor]] = OrderedDict()
        self._lock = threading.Lock()  # a module with extensions holds the tensors of its one run
        kind = self._device.type
        self.info = EngineInfo("torch", precision, kind, f"torch {torch.__version__}", builds=kind != "cpu")

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        key = key_of(self._network, shapes_of(tensors))
        with self._lock, torch.inference_mode():
            if self._module is None:
                raise EngineError(f"The torch engine of {self._network.name} is closed.")
            found = self._module(*(self._ready(tensors[spec.name]) for spec in self._network.inputs))
            outputs = found if isinstance(found, tuple) else (found,)
            named = {spec.name: value for spec, value in zip(self._network.outputs, outputs, strict=True)}
            buffers = self._own(key, named)
            for name, value in named.items():
                buffers[name].copy_(value)
            return dict(buffers)

    def warm(self, shapes: Shapes) -> None:
        key_of(self._network, shapes)
        if self._device.type != "cpu":  # there is nothing to build on a CPU, and a run would hold others up
            self.run(**{name: torch.zeros(shape) for name, shape in shapes.items()})

    def plans(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        with self._lock:
            self._module = None
            self._buffers.clear()

    def _ready(self, tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.to(device=self._device, dtype=self._dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def _own(self, key: Key, named: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the output buffers of these input shapes; the least recently used shapes are forgotten."""
        if key not in self._buffers:
            self._buffers[key] = {
                name: torch.empty(tuple(value.shape), dtype=torch.float32, device=self._device)
                for name, value in named.items()
            }
        self._buffers.move_to_end(key)
        while len(self._buffers) > KEPT_SHAPES:
            self._buffers.popitem(last=False)
        return self._buffers[key]


def build(network: Network, *, precision: str, device: str, report: Report = lambda sentence: None) -> Engine:
    """Return the torch engine. Raises EngineUnavailable for a device or precision that torch has not here."""
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("torch sees no CUDA device on this machine.")
    if precision not in DTYPES:
        raise EngineUnavailable(f"The torch back end runs {' or '.join(DTYPES)}, not {precision}.")
    return TorchEngine(network, precision, device)
