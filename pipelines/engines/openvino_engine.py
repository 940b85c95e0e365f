"""OpenVINO as an engine, the fast one on a CPU: one compiled model a shape, static, with buffers of its own.

Static shapes, since a dynamic UNet is 17 to 53 % slower. The engine owns the memory that requests read and
write: a request does not keep a shared tensor's memory alive, and with the caller's memory gone it computes
nonsense without an error. The graph is made by the front end itself and not by `openvino.convert_model`,
which reports its use to a server.
"""

from __future__ import annotations

import importlib.metadata
import io
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino as ov
import torch

from realtime.core.errors import EngineBuildFailed, EngineError, EngineUnavailable

from . import cost
from .base import Engine, EngineInfo, Key, Network, Report, Shapes, key_of, shapes_of
from .key import Recipe, Shelf, default_shelf, graph_digest, processor

KEPT_SHAPES = 6
CACHED_BYTES = 512 << 20
"""Weights above this are compiled anew at each start: their engines would fill a disk."""
HINTS = {"fp32": "f32", "bf16": "bf16"}
LETTERS = {"float32": np.float32, "int64": np.int64}


class OpenVinoEngine:
    """Run a network on the CPU. One thread at a time."""

    def __init__(
        self, network: Network, precision: str, shelf: Shelf | None, threads: int, report: Report
    ) -> None:
        self._network = network
        self._precision = precision
        self._shelf = shelf
        self._threads = threads
        self._report = report
        self._core = ov.Core()
        self._graph: ov.Model | None = None
        self._compiled: OrderedDict[tuple[Key, int], ov.CompiledModel] = OrderedDict()
        self._calls: OrderedDict[Key, _Calls] = OrderedDict()
        self._plans: dict[Key, cost.RowPlan] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self.info = EngineInfo("openvino", precision, "cpu", f"openvino {_version()}")

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        key = key_of(self._network, shapes_of(tensors))
        with self._lock:
            calls = self._ready(key)
            for spec, own in zip(self._network.inputs, calls.inputs, strict=True):
                own.copy_(tensors[spec.name])
            try:
                calls.run()
            except RuntimeError as error:
                raise EngineError(f"OpenVINO failed to run {self._network.name}: {error}.") from error
            return {spec.name: own for spec, own in zip(self._network.outputs, calls.outputs, strict=True)}

    def warm(self, shapes: Shapes) -> None:
        key = key_of(self._network, shapes)
        with self._lock:
            rows = key[0][0]
            if self._may_split(rows) and key not in self._plans:
                ways = self._bind(key, "batch"), self._bind(key, "rows")
                times = cost.measure([way.run for way in ways], time.perf_counter_ns)
                plan = self._plans[key] = cost.row_plan(rows, *times)
                if plan.way == "rows":
                    self._compiled.pop(
                        (key, 1), None
                    )  # the single rows' model serves other batches, so it stays
                self._keep(key, ways[0] if plan.way == "batch" else ways[1])
            self._ready(key).run()

    def plans(self) -> tuple[str, ...]:
        return tuple(f"{self._network.name}: {plan.says}" for plan in self._plans.values())

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._calls.clear()
            self._compiled.clear()
            self._graph = None

    def _ready(self, key: Key) -> _Calls:
        """Return the bound calls of these shapes; built at first use, forgotten when used longest ago."""
        if self._is_closed:
            raise EngineError(f"The OpenVINO engine of {self._network.name} is closed.")
        if key not in self._calls:
            plan = self._plans.get(key) or cost.unmeasured_plan(key[0][0], self._threads)
            self._keep(key, self._bind(key, plan.way if self._may_split(key[0][0]) else "batch"))
        self._calls.move_to_end(key)
        return self._calls[key]

    def _may_split(self, rows: int) -> bool:
        return not self._network.couples_rows and cost.may_split(rows, self._threads)

    def _keep(self, key: Key, calls: _Calls) -> None:
        self._calls[key] = calls
        while len(self._calls) > KEPT_SHAPES:
            self._calls.popitem(last=False)

    def _bind(self, key: Key, way: cost.Way) -> _Calls:
        if way == "batch":
            return _Calls(self._network, self._model(key, streams=1), key, each_rows=key[0][0])
        single: Key = tuple((1, *shape[1:]) for shape in key)
        return _Calls(self._network, self._model(single, cost.STREAMS), key, each_rows=1)

    def _model(self, key: Key, streams: int) -> ov.CompiledModel:
        """Return the compiled model of these shapes: held, from disk, or built."""
        if (key, streams) not in self._compiled:
            try:
                self._compiled[key, streams] = self._load(key, streams)
            except RuntimeError as error:
                message = f"OpenVINO could not compile {self._network.name} for {key}: {error}."
                raise EngineBuildFailed(message) from error
            while len(self._compiled) > KEPT_SHAPES:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end((key, streams))
        return self._compiled[key, streams]

    def _load(self, key: Key, streams: int) -> ov.CompiledModel:
        options = {
            "INFERENCE_PRECISION_HINT": HINTS[self._precision],
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # pinned is no faster, and suffers beside other programs
        }
        recipe = self._recipe(key, streams)
        if self._shelf is not None and (kept := self._shelf.get(recipe)) is not None:
            return self._core.import_model(io.BytesIO(kept), "CPU", options)
        changed = self._shelf.why_missing(recipe) if self._shelf is not None else ""
        size = " by ".join(str(n) for n in key[0])
        self._report(f"Building {self._network.name} for {size}{f' ({changed})' if changed else ''}.")
        graph = self._traced(key).clone()
        graph.reshape({port: ov.PartialShape(list(s)) for port, s in zip(graph.inputs, key, strict=True)})
        compiled = self._core.compile_model(graph, "CPU", options)
        if self._shelf is not None and (
            trouble := self._shelf.put(recipe, compiled.export_model().getvalue())
        ):
            self._report(f"The built {self._network.name} is not kept for the next start: {trouble}")
        return compiled

    def _traced(self, key: Key) -> ov.Model:
        """Return the graph with open shapes, made once."""
        if self._graph is None:
            device = next((p.device for p in self._network.module.parameters()), torch.device("cpu"))
            rows = 2  # 1 would be taken as fixed
            example = tuple(
                torch.zeros(
                    [rows if dim == "b" else n for dim, n in zip(spec.dims, shape, strict=True)],
                    device=device,
                )
                for spec, shape in zip(self._network.inputs, key, strict=True)
            )
            self._graph = to_graph(self._network.module, example)
            if len(self._graph.inputs) != len(key):
                raise EngineBuildFailed(f"OpenVINO lost an input of {self._network.name} on the way.")
        return self._graph

    def _recipe(self, key: Key, streams: int) -> Recipe:
        return Recipe(
            network=self._network.name,
            weights=self._network.digest,
            shapes=tuple((spec.name, shape) for spec, shape in zip(self._network.inputs, key, strict=True)),
            precision=self._precision,
            threads=self._threads,
            streams=streams,
            backend="openvino",
            versions=f"openvino {ov.get_version()}, torch {torch.__version__}, {_library('diffusers')}",
            graph=graph_digest(),
            processor=processor(),
        )


class _Calls:
    """Hold the memory of one batch shape and the requests bound to it: one for all rows, or one a row."""

    def __init__(self, network: Network, compiled: ov.CompiledModel, key: Key, each_rows: int) -> None:
        rows = key[0][0]
        types = [LETTERS[spec.dtype] for spec in network.inputs]
        # Held here for as long as the requests are: a shared ov.Tensor does not hold its array itself.
        ins = [np.zeros(shape, dtype) for shape, dtype in zip(key, types, strict=True)]
        outs = [np.zeros((rows, *tuple(port.shape)[1:]), np.float32) for port in compiled.outputs]
        with torch.inference_mode(False):  # a caller of either mode may write to them
            self.inputs = [torch.from_numpy(array) for array in ins]
            self.outputs = [torch.from_numpy(array) for array in outs]
        self._held = (compiled, ins, outs)
        self._requests: list[Any] = []
        for first in range(0, rows, each_rows):
            request = compiled.create_infer_request()
            own = slice(first, first + each_rows)
            for i, array in enumerate(ins):
                request.set_input_tensor(i, ov.Tensor(array[own], shared_memory=True))
            for i, array in enumerate(outs):
                request.set_output_tensor(i, ov.Tensor(array[own], shared_memory=True))
            self._requests.append(request)

    def run(self) -> None:
        """Fill the outputs from the inputs; all requests are done when this returns."""
        if len(self._requests) == 1:
            self._requests[0].infer()
            return
        for request in self._requests:
            request.start_async()
        for request in self._requests:
            request.wait()


def to_graph(module: torch.nn.Module, example: tuple[torch.Tensor, ...]) -> ov.Model:
    """Turn a module into an OpenVINO model with open shapes, by tracing it on `example`."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of each shape that Python looked at
        decoder = TorchScriptPythonDecoder(module, example_input=example)
        front = FrontEndManager().load_by_framework("pytorch")
        return front.convert(front.load(decoder))


def build(
    network: Network,
    *,
    precision: str,
    device: str = "cpu",
    report: Report = lambda sentence: None,
    shelf: Shelf | None = None,
    threads: int | None = None,
) -> Engine:
    """Return the OpenVINO engine; nothing is compiled before a shape is warmed or run.

    `shelf` keeps compiled models (default: this person's cache, unless the network has no digest or is very
    large). Raises EngineUnavailable for a precision or a network that cannot be run here.
    """
    if precision not in HINTS:
        raise EngineUnavailable(f"The OpenVINO back end runs {' or '.join(HINTS)}, not {precision}.")
    if precision == "bf16" and "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineUnavailable("This processor has no bf16 arithmetic.", hint="Use precision = fp32.")
    if any(
        getattr(module, "time_embedding_norm", "") == "scale_shift" for module in network.module.modules()
    ):
        reason = 'it has resnet_time_scale_shift = "scale_shift", on which OpenVINO 2026.4 crashes.'
        raise EngineUnavailable(
            f"OpenVINO cannot compile this {network.name}: {reason}", hint="Use engine = torch."
        )
    size = sum(p.numel() * p.element_size() for p in network.module.parameters())
    if shelf is None and network.digest and size <= CACHED_BYTES:
        shelf = default_shelf()
    return OpenVinoEngine(network, precision, shelf, threads or cost.usable_threads(), report)


def _version() -> str:
    return str(ov.get_version()).split("-")[0]


def _library(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name}"
