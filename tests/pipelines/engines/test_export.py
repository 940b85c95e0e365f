"""Graphs are valid, keep their names, and give torch's numbers at sizes that were never traced."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pipelines.engines import export
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.parity import relative_error
from realtime.core.errors import EngineBuildFailed, EngineUnavailable

from . import nets


def outputs_of(graph: Path | bytes, tensors) -> list[torch.Tensor]:
    """Run a graph in ONNX Runtime, without any of the engine's code."""
    session = onnxruntime.InferenceSession(str(graph) if isinstance(graph, Path) else graph)
    feeds = {name: tensor.numpy() for name, tensor in tensors.items()}
    return [torch.from_numpy(np.asarray(value)) for value in session.run(None, feeds)]


LONG = pytest.mark.nightly  # tracing and conversion take 10 to 20 s


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param("unet-attention", marks=LONG), pytest.param("encoder-kl", marks=LONG), "decoder-tiny"],
)
def test_untraced_sizes_give_the_numbers_of_torch(name, tmp_path):
    network = nets.network(name)
    graph = nets.export_once(network, nets.shapes(network), tmp_path)
    model = onnx.load(graph.path)
    assert [port.name for port in model.graph.input] == [spec.name for spec in network.inputs]
    assert [port.name for port in model.graph.output] == [spec.name for spec in network.outputs]
    for rows, height, width in [(1, 2, 2), (1, 16, 8), (3, 6, 10), (5, 8, 32)]:
        tensors = nets.example(network, rows, height, width, seed=rows)
        if name == "unet-attention":
            tensors["context"] = torch.randn(rows, 5, tensors["context"].shape[2])
        (seen,) = outputs_of(graph.path, tensors)
        allowed = 2e-3 if seen.dtype == torch.uint8 else 1e-5  # a level here and there
        assert relative_error(seen, nets.expected(network, tensors)) < allowed


def test_integers_and_several_outputs_pass(tmp_path):
    network = nets.mixer()
    first = nets.mixer_example()
    graph = export.write(network, {name: tuple(t.shape) for name, t in first.items()}, tmp_path)
    assert graph.multiples == {"b": 1, "h": 2, "w": 2, "t": 1}
    assert graph.misfit({"b": 3, "h": 6, "w": 7, "t": 9}) == "w = 7 is no multiple of 2."
    ids = next(port for port in onnx.load(graph.path).graph.input if port.name == "ids")
    assert ids.type.tensor_type.elem_type == onnx.TensorProto.INT64
    for rows, height, width, tokens in [(1, 2, 2, 1), (4, 6, 10, 9)]:
        tensors = nets.mixer_example(rows, height, width, tokens)
        wide, mean = outputs_of(graph.path, tensors)
        reference = network.module(*tensors.values())
        assert relative_error(wide, reference[0]) < 1e-5
        assert relative_error(mean, reference[1]) < 1e-5


def test_half_precision_is_a_half_module(tmp_path):
    network = nets.network("decoder-tiny")
    content = export.to_onnx(network, nets.shapes(network), precision="fp16")
    model = onnx.load_from_string(content)
    assert model.opset_import[0].version == 20
    assert {w.data_type for w in model.graph.initializer if len(w.dims) == 4} == {onnx.TensorProto.FLOAT16}
    tensors = nets.example(network, rows=2, seed=5)
    (seen,) = outputs_of(content, {name: value.half() for name, value in tensors.items()})
    assert 1e-5 < relative_error(seen.float(), nets.expected(network, tensors)) < 5e-3
    assert next(network.module.parameters()).dtype == torch.float32, "the network's own module stays as it is"


def test_many_weights_lie_beside_the_graph(tmp_path):
    network = nets.network("decoder-tiny")
    graph = export.write(network, nets.shapes(network), tmp_path, inline_bytes=1000)
    assert graph.is_split
    tensors = nets.example(network, rows=2)
    (seen,) = outputs_of(graph.path, tensors)
    assert relative_error(seen, nets.expected(network, tensors)) < 2e-3  # a level here and there


class Tied(torch.nn.Module):
    """Want as many tokens as the picture has places."""

    def forward(self, picture_B4HW, tokens_BN4):
        return picture_B4HW.flatten(2).transpose(1, 2) * 2 + tokens_BN4


class Undecided(torch.nn.Module):
    """Let the values decide what is done."""

    def forward(self, x_BN):
        return x_BN * 2 if x_BN.sum() > 0 else x_BN * 3


def test_sizes_that_cannot_vary_become_part_of_the_graph(tmp_path):
    picture = TensorSpec("picture", "float32", ("b", 4, "h", "w"))
    tokens = TensorSpec("tokens", "float32", ("b", "n", 4))
    network = Network("tied", Tied(), (picture, tokens), (tokens,), "")
    graph = export.write(network, {"picture": (1, 4, 4, 6), "tokens": (1, 24, 4)}, tmp_path)
    assert graph.multiples == {"b": 1}
    assert graph.fixed == {"h": 4, "w": 6, "n": 24}
    assert graph.misfit({"b": 7, "h": 4, "w": 6, "n": 24}) == ""
    assert graph.misfit({"b": 7, "h": 8, "w": 6, "n": 48}) == "h is 4 in this graph, not 8."
    tensors = {"picture": torch.randn(7, 4, 4, 6), "tokens": torch.randn(7, 24, 4)}
    (seen,) = outputs_of(graph.path, tensors)
    assert relative_error(seen, network.module(*tensors.values())) < 1e-6


def test_what_cannot_be_traced_is_said(tmp_path):
    x = TensorSpec("x", "float32", ("b", 4))
    said: list[str] = []
    network = Network("undecided", Undecided(), (x,), (x,), "")
    with pytest.raises(
        EngineBuildFailed, match=r"undecided cannot be exported to ONNX: .*data-dependent"
    ) as it:
        export.write(network, {"x": (1, 4)}, tmp_path, report=said.append)
    assert it.value.hint == "Use engine = torch."
    assert "with more sizes open" in said[0]


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineUnavailable, match=package) as caught:
        export.write(nets.doubler(), {"x": (1, 4)}, tmp_path)
    assert "pip install onnx onnxscript" in caught.value.hint


def test_the_source_digest_knows_the_module():
    assert export.source_digest(nets.doubler()) != export.source_digest(nets.network("decoder-tiny"))
    assert export.source_digest(nets.doubler()) == export.source_digest(nets.doubler("other weights"))
