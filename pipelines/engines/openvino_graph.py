"""From a torch module to OpenVINO's graph, and a graph to bytes and back.

The graph is made by the front end itself and not by `openvino.convert_model`, which reports its use to a
server.
"""

from __future__ import annotations

import struct
import tempfile
import warnings
from pathlib import Path

import openvino as ov
import torch

from realtime.core.errors import EngineBuildFailed

from .base import Key, Network

LENGTH = struct.Struct("<Q")


def traced(network: Network, key: Key) -> ov.Model:
    """Return the graph of a network with open shapes, made by tracing it at `key` with two rows."""
    device = next((p.device for p in network.module.parameters()), torch.device("cpu"))
    rows = 2  # 1 would be taken as fixed
    example = tuple(
        torch.zeros(
            [rows if dim == "b" else n for dim, n in zip(spec.dims, shape, strict=True)],
            dtype=getattr(torch, spec.dtype),
            device=device,
        )
        for spec, shape in zip(network.inputs, key, strict=True)
    )
    graph = to_graph(network.module, example)
    if len(graph.inputs) != len(key):
        raise EngineBuildFailed(f"OpenVINO lost an input of {network.name} on the way.")
    return graph


def to_graph(module: torch.nn.Module, example: tuple[torch.Tensor, ...]) -> ov.Model:
    """Turn a module into an OpenVINO model with open shapes, by tracing it on `example`."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of each shape that Python looked at
        decoder = TorchScriptPythonDecoder(module, example_input=example)
        front = FrontEndManager().load_by_framework("pytorch")
        return front.convert(front.load(decoder))


def at_shapes(graph: ov.Model, key: Key) -> ov.Model:
    """Return a copy of the graph with these fixed input shapes."""
    fixed = graph.clone()
    fixed.reshape({port: ov.PartialShape(list(s)) for port, s in zip(fixed.inputs, key, strict=True)})
    return fixed


def to_bytes(graph: ov.Model) -> bytes:
    """Return a graph with its weights, for the shelf."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        ov.serialize(graph, path)  # `save_model` would round the weights to half precision
        described = path.read_bytes()
        return LENGTH.pack(len(described)) + described + path.with_suffix(".bin").read_bytes()


def from_bytes(core: ov.Core, kept: bytes) -> ov.Model:
    """Return the graph that `to_bytes` wrote. Raises RuntimeError when OpenVINO cannot read it."""
    (length,) = LENGTH.unpack_from(kept)
    described, weights = kept[LENGTH.size : LENGTH.size + length], kept[LENGTH.size + length :]
    return core.read_model(model=described, weights=weights)
