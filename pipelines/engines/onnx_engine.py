"""ONNX Runtime as an engine: not the fastest anywhere, but there is a build of it for nearly every machine.

One session serves all sizes that its graph leaves open. For each shape the engine keeps the memory that the
session reads and writes, bound once; callers get those outputs, as the contract says.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch

from realtime.core.errors import EngineBuildFailed, EngineError, EngineUnavailable

from . import cost, export, onnx_int8
from .base import Engine, EngineInfo, Key, Network, Report, Shapes, key_of, shapes_of
from .key import Recipe, Shelf, default_shelf
from .sizes import sizes_of

KEPT_SHAPES = 8
CACHED_BYTES = 512 << 20
"""Graphs with more weights are exported anew at each start: they would fill a disk."""
PRECISIONS: Mapping[str, tuple[str, ...]] = {"cpu": ("fp32",), "cuda": ("fp32", "fp16")}
ROUNDED = "int8"
"""On a processor, for networks that say they bear it."""
PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
TYPES: Mapping[str, tuple[torch.dtype, Any]] = {
    "tensor(float)": (torch.float32, np.float32),
    "tensor(float16)": (torch.float16, np.float16),
    "tensor(int64)": (torch.int64, np.int64),
    "tensor(int32)": (torch.int32, np.int32),
    "tensor(uint8)": (torch.uint8, np.uint8),
}
Exporter = Callable[..., export.Graph]


class OnnxEngine:
    """Run a network with ONNX Runtime. One thread at a time."""

    def __init__(
        self,
        network: Network,
        precision: str,
        device: str,
        *,
        threads: int,
        shelf: Shelf | None,
        report: Report,
        exporter: Exporter,
    ) -> None:
        self._network = network
        self._precision = precision
        self._traced = "fp32" if precision == ROUNDED else precision
        self._device = device
        self._threads = threads
        self._shelf = shelf
        self._report = report
        self._exporter = exporter
        self._loaded: list[_Loaded] = []
        self._bound: OrderedDict[Key, _Bound] = OrderedDict()
        self._lock = threading.Lock()
        self._is_closed = False
        self.info = EngineInfo("onnx", precision, device, f"onnxruntime {onnxruntime.__version__}")

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        key = key_of(self._network, shapes_of(tensors))
        # Memory made in inference mode could not be written to outside of it.
        with self._lock, torch.inference_mode(False), torch.no_grad():
            bound = self._ready(key)
            for spec, own in zip(self._network.inputs, bound.inputs, strict=True):
                own.copy_(tensors[spec.name])
            bound.run()
            return dict(bound.results)

    def warm(self, shapes: Shapes) -> None:
        key = key_of(self._network, shapes)
        with self._lock, torch.inference_mode(False), torch.no_grad():
            self._ready(key).run()

    def plans(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._bound.clear()
            self._loaded.clear()

    def _ready(self, key: Key) -> _Bound:
        """Return the memory bound for these shapes; forgotten when used longest ago."""
        if self._is_closed:
            raise EngineError(f"The ONNX engine of {self._network.name} is closed.")
        if key not in self._bound:
            self._bound[key] = _Bound(self._network, self._session(key), key, self._device)
            while len(self._bound) > KEPT_SHAPES:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return self._bound[key]

    def _session(self, key: Key) -> Any:
        """Return a session whose graph takes these shapes: held, from disk, or exported now."""
        shapes = {spec.name: shape for spec, shape in zip(self._network.inputs, key, strict=True)}
        sizes = sizes_of(self._network, shapes)
        for loaded in self._loaded:
            if not loaded.graph.misfit(sizes):
                return loaded.session
        recipe = self._recipe(shapes)
        if self._shelf is not None and (kept := self._shelf.get(recipe)) is not None:
            found = self._open(kept, None)
            if not found.graph.misfit(sizes):
                self._loaded.append(found)
                return found.session
        found = self._export(shapes, recipe)
        self._loaded.append(found)
        return found.session

    def _export(self, shapes: Shapes, recipe: Recipe) -> _Loaded:
        changed = self._shelf.why_missing(recipe) if self._shelf is not None else ""
        self._report(f"Exporting {self._network.name} to ONNX{f' ({changed})' if changed else ''}.")
        folder = tempfile.TemporaryDirectory(prefix="vitascope-onnx-")
        graph = self._exporter(
            self._network, shapes, Path(folder.name), precision=self._traced, report=self._report
        )
        if graph.is_split and self._precision != ROUNDED:
            return self._open(str(graph.path), folder)
        content = graph.path.read_bytes()
        if self._precision == ROUNDED:
            if graph.is_split:
                raise EngineBuildFailed(f"{self._network.name} is too large to be rounded to int8 here.")
            content = onnx_int8.rounded(self._network, content)
        folder.cleanup()
        if self._shelf is not None and (trouble := self._shelf.put(recipe, content)):
            self._report(f"The graph of {self._network.name} is not kept for the next start: {trouble}")
        return self._open(content, None)

    def _open(self, model: bytes | str, folder: Any) -> _Loaded:
        """Return a session; `folder` holds weights that it reads as it goes."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        # Threads that spin while a neighbour has their core make single calls take seconds.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        wanted = [PROVIDERS[self._device]]
        try:
            session = onnxruntime.InferenceSession(model, options, providers=wanted)
            sizes = json.loads(session.get_modelmeta().custom_metadata_map[export.METADATA])
        except Exception as error:  # ONNX Runtime's errors share no base of their own
            message = f"ONNX Runtime cannot load {self._network.name}: {_first_line(error)}."
            raise EngineBuildFailed(message) from error
        if wanted[0] not in session.get_providers():
            raise EngineUnavailable(f"ONNX Runtime did not load its {wanted[0]}.", hint="Use engine = torch.")
        graph = export.Graph(Path(), sizes["multiples"], sizes["fixed"])
        return _Loaded(graph, session, folder)

    def _recipe(self, shapes: Shapes) -> Recipe:
        made_by = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("onnx", "onnxscript"))
        return Recipe(
            network=self._network.name,
            weights=self._network.digest,
            shapes=tuple((name, (0, *shape[1:])) for name, shape in shapes.items()),
            precision=self._precision,
            threads=0,
            streams=0,
            backend="onnx",
            versions=f"torch {torch.__version__}, {made_by}",
            graph=f"{export.source_digest(self._network)} opset {export.OPSETS[self._traced]}"
            + (f" {onnx_int8.version()}" if self._precision == ROUNDED else ""),
            processor="any",
        )


class _Loaded(NamedTuple):
    graph: export.Graph
    session: Any
    folder: Any


class _Bound:
    """Hold the memory of one shape and the session's binding to it."""

    def __init__(self, network: Network, session: Any, key: Key, device: str) -> None:
        self._network = network
        self._session = session
        self._device = device
        self._binding = session.io_binding()
        names = [port.name for port in session.get_inputs()]
        if names != [spec.name for spec in network.inputs]:
            raise EngineBuildFailed(f"The ONNX graph of {network.name} takes {names}: an input was lost.")
        if odd := {port.type for port in [*session.get_inputs(), *session.get_outputs()]} - TYPES.keys():
            raise EngineBuildFailed(f"{network.name} has tensors that are not taken here: {', '.join(odd)}.")
        self.inputs = [
            torch.zeros(shape, dtype=TYPES[port.type][0], device=device)
            for port, shape in zip(session.get_inputs(), key, strict=True)
        ]
        for port, own in zip(session.get_inputs(), self.inputs, strict=True):
            letters = TYPES[port.type][1]
            self._binding.bind_input(port.name, device, 0, letters, tuple(own.shape), own.data_ptr())
        for port in session.get_outputs():
            self._binding.bind_output(port.name, device)
        self._call()  # only now are the shapes of its outputs known
        self._outputs: dict[str, torch.Tensor] = {}
        self.results: dict[str, torch.Tensor] = {}
        shapes = [tuple(value.shape()) for value in self._binding.get_outputs()]
        for port, spec, shape in zip(session.get_outputs(), network.outputs, shapes, strict=True):
            dtype, letters = TYPES[port.type]
            own = torch.zeros(shape, dtype=dtype, device=device)
            self._binding.bind_output(port.name, device, 0, letters, shape, own.data_ptr())
            self._outputs[spec.name] = own
            wanted = getattr(torch, spec.dtype)
            self.results[spec.name] = own if dtype == wanted else torch.zeros_like(own, dtype=wanted)

    def run(self) -> None:
        """Fill the results from the inputs."""
        self._call()
        for name, own in self._outputs.items():
            if self.results[name] is not own:
                self.results[name].copy_(own)

    def _call(self) -> None:
        if self._device == "cuda":
            torch.cuda.current_stream().synchronize()  # the session has a stream of its own
        try:
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except Exception as error:  # ONNX Runtime's errors share no base of their own
            message = f"ONNX Runtime failed to run {self._network.name}: {_first_line(error)}."
            raise EngineError(message) from error


def build(
    network: Network,
    *,
    precision: str,
    device: str = "cpu",
    report: Report = lambda sentence: None,
    shelf: Shelf | None = None,
    threads: int | None = None,
    exporter: Exporter = export.write,
) -> Engine:
    """Return the ONNX Runtime engine; nothing is exported before a shape is warmed or run.

    `shelf` keeps graphs (default: this person's cache, unless the network has no digest or is very large).
    `exporter` writes the graph. Raises EngineUnavailable for a device or precision that is not served here.
    """
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        raise EngineUnavailable(
            f"This build of ONNX Runtime has no {PROVIDERS[device]}.",
            hint="Replace onnxruntime by onnxruntime-gpu, or use engine = torch.",
        )
    is_rounded = precision == ROUNDED and device == "cpu" and network.rounds_products
    if precision not in PRECISIONS[device] and not is_rounded:
        known = " or ".join(PRECISIONS[device])
        raise EngineUnavailable(f"The ONNX back end runs {known} on {device}, not {precision}.")
    onnxruntime.disable_telemetry_events()
    if shelf is None and network.digest and export.weight_bytes(network.module) <= CACHED_BYTES:
        shelf = default_shelf()
    return OnnxEngine(
        network,
        precision,
        device,
        threads=threads or network.threads or cost.usable_threads(),
        shelf=shelf,
        report=report,
        exporter=exporter,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
