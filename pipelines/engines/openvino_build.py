"""What OpenVINO compiles: held, from the shelf, or built. One thread at a time; its owner holds a lock."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import openvino as ov
import torch

from realtime.core.errors import EngineBuildFailed

from . import openvino_int8, quality
from .base import Key, Network, Report
from .key import Recipe, Shelf, graph_digest, processor
from .openvino_graph import at_shapes, from_bytes, to_bytes, traced
from .parity import reference_of

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""What is computed where nothing is said: in int8, the layers that stay unrounded."""


class Models:
    """Make and hold the compiled models of one network, the last used ones."""

    def __init__(
        self, network: Network, precision: str, shelf: Shelf | None, threads: int, report: Report, kept: int
    ) -> None:
        """Hold at most `kept` compiled models."""
        self._kept = kept
        self._network = network
        self._precision = precision
        self._shelf = shelf
        self._threads = threads
        self._report = report
        self._core = ov.Core()
        self._graph: ov.Model | None = None
        self._compiled: OrderedDict[tuple[Key, int], ov.CompiledModel] = OrderedDict()
        self._samples = ""
        """sha256 of what int8 is fitted to; empty in other precisions."""
        self.says = ""
        """What the quality gate found; empty where there is none."""

    def get(self, key: Key, streams: int) -> ov.CompiledModel:
        """Return the compiled model of these shapes. Raises EngineBuildFailed with OpenVINO's reason."""
        if (key, streams) not in self._compiled:
            try:
                self._compiled[key, streams] = self._load(key, streams)
            except RuntimeError as error:
                message = f"OpenVINO could not compile {self._network.name} for {key}: {error}."
                raise EngineBuildFailed(message) from error
            while len(self._compiled) > self._kept:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end((key, streams))
        return self._compiled[key, streams]

    def drop(self, key: Key, streams: int) -> None:
        """Forget one: who uses it keeps it."""
        self._compiled.pop((key if streams == 1 else single(key), streams), None)

    def clear(self) -> None:
        """Give the memory back."""
        self._compiled.clear()
        self._graph = None

    def _load(self, key: Key, streams: int) -> ov.CompiledModel:
        if self._precision == "int8" and self._graph is None:
            self._graph = self._rounded(key)  # first: the samples are part of each key
        recipe = self._recipe(key, streams)
        options = self._options(streams)
        if self._shelf is not None and (kept := self._shelf.get(recipe)) is not None:
            return self._core.import_model(io.BytesIO(kept), "CPU", options)
        changed = self._shelf.why_missing(recipe) if self._shelf is not None else ""
        size = " by ".join(str(n) for n in key[0])
        self._report(f"Building {self._network.name} for {size}{f' ({changed})' if changed else ''}.")
        if self._graph is None:
            self._graph = traced(self._network, key)
        compiled = self._core.compile_model(at_shapes(self._graph, key), "CPU", options)
        self._keep(recipe, compiled.export_model().getvalue())
        return compiled

    def _options(self, streams: int) -> dict[str, object]:
        hint = HINTS[self._precision]
        if self._precision == "int8" and not knows(self._core, "BF16"):
            hint = "f32"
        return {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # pinned is no faster, and suffers beside other programs
        }

    def _rounded(self, key: Key) -> ov.Model:
        """Return the int8 graph, from the shelf or made; EngineBuildFailed when too much got lost."""
        network = self._network
        assert network.calibration is not None  # checked before the engine was made
        every = [dict(sample) for sample in network.calibration()]
        try:
            fitting, judging = quality.split(every)
        except ValueError as error:
            raise EngineBuildFailed(f"int8 of {network.name} cannot be calibrated: {error}.") from error
        self._samples = _digest(every)
        recipe = self._recipe((), 0)
        if self._shelf is not None and (kept := self._shelf.get(recipe)) is not None:
            return from_bytes(self._core, kept)
        self._report(f"Rounding {network.name} to int8 by {len(fitting)} samples.")
        graph = openvino_int8.quantised(traced(network, key), network, fitting)
        found_db = self._judge(graph, judging)
        self.says = f"int8 keeps {found_db:.1f} dB on {len(judging)} samples, {quality.LEAST_DB:g} needed."
        if not found_db >= quality.LEAST_DB:
            raise EngineBuildFailed(
                f"int8 of {network.name} is too coarse: {found_db:.1f} dB against fp32 on {len(judging)} "
                f"samples, at least {quality.LEAST_DB:g} dB are needed.",
                hint="Use precision = bf16 or fp32.",
            )
        self._report(f"{network.name}: {self.says}")
        self._keep(recipe, to_bytes(graph))
        return graph

    def _judge(self, graph: ov.Model, samples: Sequence[Mapping[str, torch.Tensor]]) -> float:
        """Return how near the graph comes to torch in fp32, in dB, in what a person sees of it."""
        network, pairs = self._network, []
        shown = network.shown or (lambda output: output)
        for sample in samples:
            inputs = [sample[spec.name] for spec in network.inputs]
            fixed = at_shapes(graph, tuple(tuple(tensor.shape) for tensor in inputs))
            found = self._core.compile_model(fixed, "CPU", self._options(1))([t.numpy() for t in inputs])
            expected = reference_of(network, sample)[network.outputs[0].name]
            with torch.inference_mode():
                pairs.append((shown(torch.from_numpy(found[0].copy())), shown(expected)))
        return quality.psnr_db(pairs)

    def _keep(self, recipe: Recipe, content: bytes) -> None:
        if self._shelf is not None and (trouble := self._shelf.put(recipe, content)):
            self._report(f"The built {self._network.name} is not kept for the next start: {trouble}")

    def _recipe(self, key: Key, streams: int) -> Recipe:
        """Return what a compiled model depends on; without shapes and streams, a rounded graph."""
        versions = f"openvino {ov.get_version()}, torch {torch.__version__}, {_library('diffusers')}"
        is_int8 = self._precision == "int8"
        return Recipe(
            network=self._network.name,
            weights=self._network.digest,
            shapes=tuple((spec.name, s) for spec, s in zip(self._network.inputs, key, strict=bool(key))),
            precision=f"int8 by {self._samples}" if is_int8 else self._precision,
            threads=self._threads,
            streams=streams,
            backend="openvino",
            versions=f"{versions}, {openvino_int8.version()}" if is_int8 else versions,
            graph=graph_digest(),
            processor=processor(),
        )


def single(key: Key) -> Key:
    """Return the same shapes with one row."""
    return tuple((1, *shape[1:]) for shape in key)


def knows(core: ov.Core, skill: str) -> bool:
    """Tell whether this processor computes in "BF16" or "INT8"."""
    return skill in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _digest(samples: Sequence[Mapping[str, torch.Tensor]]) -> str:
    summed = hashlib.sha256()
    for sample in samples:
        for name in sorted(sample):
            summed.update(f"{name} {tuple(sample[name].shape)}".encode())
            summed.update(sample[name].cpu().contiguous().numpy().tobytes())
    return summed.hexdigest()[:16]


def _library(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name}"
