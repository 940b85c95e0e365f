"""Plain torch as an engine: the reference that is always there, on the CPU and on a GPU.

Weights and pictures lie channels last, which with bf16 is 4 to 6 times the speed of the default layout on a
CPU that knows bf16. Inputs are cast and laid out in one pass into buffers of the engine, and outputs copied
to others, so that every back end keeps the same promise and nothing is allocated twice.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from realtime.core.errors import EngineError, EngineUnavailable

from .base import Engine, EngineInfo, Key, Network, Report, Shapes, TensorSpec, key_of, shapes_of

KEPT_SHAPES = 8
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Prepare = Callable[[torch.nn.Module], Callable[..., Any]]


@dataclass(slots=True)
class _Shape:
    """Hold what belongs to one set of input shapes."""

    call: Callable[..., Any]
    inputs: list[torch.Tensor]
    outputs: dict[str, torch.Tensor]
    """Made at the first run, which tells their shapes."""


class TorchEngine:
    """Run a network's module on one device, as it is or as `prepare` makes it ready for each shape."""

    def __init__(
        self,
        network: Network,
        precision: str,
        device: str,
        *,
        backend: str = "torch",
        prepare: Prepare = lambda module: module,
    ) -> None:
        self._network = network
        self._dtype = DTYPES[precision]
        self._device = torch.device(device)
        self._prepare = prepare
        module = network.module
        weight = next(module.parameters(), None)
        if weight is not None and (weight.dtype, weight.device.type) != (self._dtype, self._device.type):
            module = copy.deepcopy(module)  # the network's own module stays the reference
        self._module: torch.nn.Module | None = module.eval().to(
            device=self._device, dtype=self._dtype, memory_format=torch.channels_last
        )
        self._shapes: OrderedDict[Key, _Shape] = OrderedDict()
        self._lock = threading.Lock()
        """Held for a run: a module with extensions holds the tensors of its one run."""
        if (self._device.type, precision) == ("cuda", "fp32"):
            # cuDNN rounds to TF32 unless told not to: pixels were 0.0013 off, 0.001 is allowed (H200).
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        builds = backend != "torch" or self._device.type != "cpu"
        self.info = EngineInfo(
            backend, precision, self._device.type, f"torch {torch.__version__}", builds=builds
        )

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        module = self._module
        if module is None:
            raise EngineError(f"The {self.info.backend} engine of {self._network.name} is closed.")
        key = key_of(self._network, shapes_of(tensors))
        with self._lock:
            return self._filled(self._ready(key, module), tensors)

    def _filled(self, shape: _Shape, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Run once; the lock is held."""
        with torch.inference_mode():
            for spec, own in zip(self._network.inputs, shape.inputs, strict=True):
                own.copy_(tensors[spec.name])
            found = shape.call(*shape.inputs)
            values = found if isinstance(found, tuple) else (found,)
            for spec, value in zip(self._network.outputs, values, strict=True):
                own = shape.outputs.get(spec.name)
                if own is None:
                    with torch.inference_mode(False):  # callers of either mode may read and write them
                        dtype = getattr(torch, spec.dtype)
                        own = torch.empty(tuple(value.shape), dtype=dtype, device=self._device)
                    shape.outputs[spec.name] = own
                own.copy_(value)
        return dict(shape.outputs)

    def warm(self, shapes: Shapes) -> None:
        key = key_of(self._network, shapes)
        with self._lock:
            if key in self._shapes:
                return  # ready, and perhaps in use: a run would write to what another thread reads
        if not self.info.builds:
            return  # there is nothing to build, and a run would hold others up
        self.run(**{name: torch.zeros(shape) for name, shape in shapes.items()})

    def plans(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        self._module = None
        self._shapes.clear()

    def _ready(self, key: Key, module: torch.nn.Module) -> _Shape:
        """Return what these input shapes need; the least recently used ones are forgotten."""
        shape = self._shapes.get(key)
        if shape is None:
            with torch.inference_mode(False):
                inputs = [
                    self._buffer(spec, sizes) for spec, sizes in zip(self._network.inputs, key, strict=True)
                ]
            shape = self._shapes[key] = _Shape(self._prepare(module), inputs, {})
            while len(self._shapes) > KEPT_SHAPES:
                self._shapes.popitem(last=False)
        self._shapes.move_to_end(key)
        return shape

    def _buffer(self, spec: TensorSpec, sizes: tuple[int, ...]) -> torch.Tensor:
        """Return the memory of an input: integers as they are, all else in the engine's precision."""
        is_float = spec.dtype.startswith("float")
        layout = torch.channels_last if is_float and len(sizes) == 4 else torch.contiguous_format
        dtype = self._dtype if is_float else getattr(torch, spec.dtype)
        return torch.empty(sizes, dtype=dtype, device=self._device, memory_format=layout)


def check(name: str, precision: str, device: str) -> None:
    """Raise EngineUnavailable for a device or precision that torch has not here."""
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("torch sees no CUDA device on this machine.")
    if precision not in DTYPES:
        raise EngineUnavailable(f"The {name} back end runs {', '.join(DTYPES)}, not {precision}.")
    if precision == "fp16" and device == "cpu":
        raise EngineUnavailable(
            "torch has no fast fp16 on a processor.",
            hint="Use precision = bf16 or fp32.",
        )


def build(network: Network, *, precision: str, device: str, report: Report = lambda sentence: None) -> Engine:
    """Return the torch engine. Raises EngineUnavailable for a device or precision that torch has not here."""
    check("torch", precision, device)
    return TorchEngine(network, precision, device)
