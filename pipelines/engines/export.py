"""A network as an ONNX graph, the one file that ONNX Runtime and TensorRT both read.

Sizes named by words stay open where the network allows it: the exporter is told "2 times something" and need
not guess (`sizes.py`). Where open sizes fail, the graph has the sizes of the example, and there is one graph
for each size. The batch is traced at two rows: the tracer takes a size of one for a constant.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.core.errors import EngineBuildFailed, EngineUnavailable

from .base import Network, Report, Shapes
from .sizes import batch_of, multiples_of, quiet, sizes_of, zeros

if TYPE_CHECKING:
    import torch

OPSETS: Mapping[str, int] = {"fp32": 20, "fp16": 20, "bf16": 22}
"""ONNX's operator set by precision. Convolutions may be bf16 from 22 on."""
DTYPES: Mapping[str, str] = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
MOST_ROWS = 32
MOST_UNITS = 1024
"""The largest size that a graph takes, in multiples; the exporter wants a bound."""
INLINE_BYTES = 1800 << 20
"""Weights above this lie in a file beside the graph: a protobuf ends at 2 GiB."""
METADATA = "vitascope sizes"
"""Under this name the graph itself tells its `multiples` and `fixed`, as JSON."""
HINT = "Install it with `pip install onnx onnxscript`, or use engine = torch."

_one_at_a_time = threading.Lock()  # the tracer keeps state of its own in the process


@dataclass(frozen=True, slots=True)
class Graph:
    """Name an ONNX file and the sizes that it takes."""

    path: Path
    """A further file `<path>.data` lies beside when the weights are too many for one."""
    multiples: Mapping[str, int]
    """What each open size must be a multiple of, by its word."""
    fixed: Mapping[str, int]
    """Sizes that are part of the graph."""

    @property
    def is_split(self) -> bool:
        """Whether the weights lie in a file of their own."""
        return self.path.with_name(f"{self.path.name}.data").exists()

    def misfit(self, sizes: Mapping[str, int]) -> str:
        """Say which size this graph does not take; empty when it takes all."""
        for word, size in sizes.items():
            if word in self.fixed and size != self.fixed[word]:
                return f"{word} is {self.fixed[word]} in this graph, not {size}."
            if size % self.multiples.get(word, 1):
                return f"{word} = {size} is no multiple of {self.multiples[word]}."
        return ""


def to_onnx(network: Network, shapes: Shapes, *, precision: str = "fp32", opset: int | None = None) -> bytes:
    """Return the graph as bytes. Raises EngineBuildFailed when it is too large for that; see `write`."""
    with tempfile.TemporaryDirectory(prefix="vitascope-onnx-") as folder:
        graph = write(network, shapes, Path(folder), precision=precision, opset=opset)
        if graph.is_split:
            raise EngineBuildFailed(f"{network.name} is too large for one ONNX file.")
        return graph.path.read_bytes()


def write(
    network: Network,
    shapes: Shapes,
    folder: Path,
    *,
    precision: str = "fp32",
    opset: int | None = None,
    only_rows: bool = False,
    report: Report = lambda sentence: None,
    inline_bytes: int = INLINE_BYTES,
) -> Graph:
    """Write `<network>.onnx` into `folder`, checked in full, and return what it takes.

    `shapes` are the input shapes of an example; all sizes with a word stay open if they can, or `only_rows`,
    which is a third faster for a UNet and a smaller graph. The graph's
    inputs have the names of the network's, its outputs those of `output_names`; they are of the precision
    asked for, integers stay integers. Raises EngineUnavailable without the ONNX packages, EngineBuildFailed
    for what cannot be exported.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 # torch's exporter asks for it late and less clearly
    except ImportError as error:
        raise EngineUnavailable(f"ONNX graphs cannot be written: {error}.", hint=HINT) from error
    sizes = sizes_of(network, shapes)
    path = folder / f"{network.name}.onnx"
    with _one_at_a_time, quiet():
        module = _in_precision(network.module, precision)
        plans = _plans(network, sizes, only_rows)
        program, multiples = _traced(
            network, module, sizes, plans, precision, opset or OPSETS[precision], report
        )
        fixed = {word: size for word, size in sizes.items() if word not in multiples}
        program.model.metadata_props[METADATA] = json.dumps({"multiples": multiples, "fixed": fixed})
        program.save(str(path), external_data=weight_bytes(module) > inline_bytes)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EngineBuildFailed(f"The ONNX graph of {network.name} is not valid: {_first(error)}") from error
    return Graph(path, multiples, fixed)


def output_names(network: Network) -> list[str]:
    """Return the names of the graph's outputs: the network's, but for those that an input has already."""
    taken = {spec.name for spec in network.inputs}
    return [f"{spec.name}_out" if spec.name in taken else spec.name for spec in network.outputs]


def source_digest(network: Network) -> str:
    """Return the sha256 of the source that makes the graph: networks, sizes, this, the module's own class."""
    own = inspect.getsourcefile(type(network.module))
    here = Path(__file__)
    files = {here, here.with_name("networks.py"), here.with_name("sizes.py"), *([Path(own)] if own else [])}
    digests = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def weight_bytes(module: torch.nn.Module) -> int:
    """Return what the weights take as they are."""
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _traced(
    network: Network,
    module: torch.nn.Module,
    sizes: Mapping[str, int],
    plans: Iterator[dict[str, int]],
    precision: str,
    opset: int,
    report: Report,
) -> tuple[Any, dict[str, int]]:
    """Return the ONNX program with as many sizes open as the exporter bears, and their multiples."""
    failure: Exception | None = None
    for multiples in plans:
        if failure is not None:
            report(f"{network.name} cannot be exported with more sizes open: {_first(failure)}")
        try:
            return _export(network, module, sizes, multiples, precision, opset), multiples
        except Exception as error:  # torch's exporter raises many kinds, most of them private
            failure = error
    reason = "no reason" if failure is None else _first(failure)
    raise EngineBuildFailed(
        f"{network.name} cannot be exported to ONNX: {reason}", hint="Use engine = torch."
    ) from failure


def _plans(network: Network, sizes: Mapping[str, int], only_rows: bool) -> Iterator[dict[str, int]]:
    """Give what to keep open, as multiples by word: all that can be, the rows alone, nothing."""
    rows = {batch_of(network): 1} if batch_of(network) else {}
    everything = rows if only_rows else {**rows, **multiples_of(network, sizes)}
    yield everything
    if everything != rows:
        yield rows
    if rows:
        yield {}


def _export(
    network: Network,
    module: torch.nn.Module,
    sizes: Mapping[str, int],
    multiples: Mapping[str, int],
    precision: str,
    opset: int,
) -> Any:
    """Trace the module and turn it into an ONNX program."""
    import torch
    from torch.export import Dim
    from torch.fx.experimental import _config

    most = {word: MOST_ROWS if word == batch_of(network) else MOST_UNITS for word in multiples}
    units = {word: Dim(f"n_{word}", min=1, max=most[word]) for word in multiples}
    open_sizes = {word: units[word] if many == 1 else many * units[word] for word, many in multiples.items()}
    dynamic = tuple(
        {i: open_sizes[word] for i, word in enumerate(spec.dims) if word in open_sizes}
        for spec in network.inputs
    )
    example = zeros(network, module, _distinct(sizes, multiples), DTYPES[precision])
    with torch.no_grad():
        with _config.patch(backed_size_oblivious=True):  # else one row would not be taken
            exported = torch.export.export(module, example, dynamic_shapes=dynamic, strict=False)
        program = torch.onnx.export(
            exported,
            (),
            dynamo=True,
            dynamic_shapes=dynamic,
            opset_version=opset,
            input_names=[spec.name for spec in network.inputs],
            verbose=False,
        )
    _name_outputs(program.model.graph, output_names(network))
    return program


def _name_outputs(graph: Any, names: list[str]) -> None:
    """Give a graph's outputs these names; what has one of them inside the graph gets another.

    The exporter would let an operation "mean" and an output "mean" be one and the same.
    """
    outputs = list(graph.outputs)
    if len(outputs) != len(names):
        raise ValueError(f"it has {len(outputs)} outputs, not {len(names)}")
    inside = [value for node in graph.all_nodes() for value in node.outputs]
    for value in [*inside, *graph.initializers.values()]:
        if value.name in names:
            value.name = f"{value.name}_inside"
    for value, name in zip(outputs, names, strict=True):
        value.name = name


def _distinct(sizes: Mapping[str, int], multiples: Mapping[str, int]) -> dict[str, int]:
    """Return sizes near the example's, the open ones of two units or more and no two alike.

    So no size passes for a constant, and none for another that happened to be equal.
    """
    chosen = dict(sizes)
    for word, multiple in multiples.items():
        others = {size for other, size in chosen.items() if other != word}
        size = max(sizes[word], 2 * multiple)
        while size in others:
            size += multiple
        chosen[word] = size
    return chosen


def _in_precision(module: torch.nn.Module, precision: str) -> torch.nn.Module:
    """Return the module itself, or a copy of it with weights in another precision."""
    import torch

    dtype = getattr(torch, DTYPES[precision])
    if all(p.dtype == dtype for p in module.parameters()):
        return module
    return copy.deepcopy(module).to(dtype)


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}." if lines else f"{type(error).__name__}."
