"""What is ONNX Runtime's own: one graph for many sizes, graphs on disk, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest
import torch

from pipelines.engines import onnx_engine
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.key import Shelf
from pipelines.engines.parity import relative_error
from realtime.core.errors import EngineError, EngineUnavailable

from . import nets
from .test_export import Tied

build = partial(onnx_engine.build, precision="fp32", threads=1)


def test_one_graph_serves_all_sizes():
    network = nets.network("decoder-tiny")
    said: list[str] = []
    engine = build(network, report=said.append)
    for width in range(4, 4 + onnx_engine.KEPT_SHAPES + 2):
        tensors = nets.example(network, rows=2, width=width, seed=width)
        assert relative_error(engine.run(**tensors)["pixels"], nets.expected(network, tensors)) < 2e-3
    assert said == ["Exporting decoder to ONNX."]


def test_a_network_of_fixed_sizes_gets_a_graph_for_each():
    picture = TensorSpec("picture", "float32", ("b", 4, "h", "w"))
    tokens = TensorSpec("tokens", "float32", ("b", "n", 4))
    network = Network("tied", Tied(), (picture, tokens), (tokens,), "")
    said: list[str] = []
    engine = build(network, report=said.append)
    for rows, side in [(1, 2), (3, 2), (1, 4), (1, 2)]:
        tensors = {
            "picture": torch.randn(rows, 4, side, side),
            "tokens": torch.randn(rows, side**2, 4),
        }
        assert relative_error(engine.run(**tensors)["tokens"], network.module(*tensors.values())) < 1e-6
    assert said == ["Exporting tied to ONNX."] * 2


def test_integers_and_several_outputs_pass():
    network = nets.mixer()
    engine = build(network)
    for rows in (1, 3):
        tensors = nets.mixer_example(rows)
        seen = engine.run(**tensors)
        assert list(seen) == ["wide", "mean"]
        for value, expected in zip(seen.values(), network.module(*tensors.values()), strict=True):
            assert relative_error(value, expected) < 1e-5


def test_memory_made_in_inference_mode_serves_outside_of_it():
    engine = build(nets.doubler())
    with torch.inference_mode():
        engine.run(x=torch.ones(1, 4))
    seen = engine.run(x=torch.ones(1, 4, requires_grad=True))["y"]
    assert seen.tolist() == [[2.0] * 4]
    assert not seen.requires_grad


def test_a_kept_graph_is_not_exported_again(tmp_path):
    said: list[str] = []
    tensors = {"x": torch.ones(1, 4)}

    def run(digest: str) -> None:
        engine = build(nets.doubler(digest), report=said.append, shelf=Shelf(tmp_path))
        assert engine.run(**tensors)["y"].sum() == 8.0

    run("one")
    run("one")
    assert said == ["Exporting double to ONNX."]
    run("two")
    assert said[1:] == ["Exporting double to ONNX (changed since the last one: weights)."]


def test_nothing_is_kept_of_weights_that_nobody_can_name(monkeypatch, tmp_path):
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    build(nets.doubler()).run(x=torch.ones(1, 4))
    assert list(tmp_path.iterdir()) == []
    build(nets.doubler("abc")).run(x=torch.ones(1, 4))
    assert [path.suffix for path in sorted((tmp_path / "engines").iterdir())] == [".bin", ".json"]


def test_an_index_out_of_range_is_an_engine_error():
    engine = build(nets.mixer())
    tensors = nets.mixer_example() | {"ids": torch.full((1, 5), 99)}
    with pytest.raises(EngineError, match="ONNX Runtime failed to run mixer"):
        engine.run(**tensors)
    assert set(engine.run(**nets.mixer_example())) == {"wide", "mean"}


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_a_precision_it_does_not_run_is_refused(precision):
    with pytest.raises(EngineUnavailable, match=f"runs fp32 on cpu, not {precision}"):
        onnx_engine.build(nets.doubler(), precision=precision)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnx_engine.onnxruntime.get_available_providers(),
    reason="this build of ONNX Runtime has what the test wants absent",
)
def test_without_its_cuda_provider_it_says_what_to_install():
    with pytest.raises(EngineUnavailable, match="no CUDAExecutionProvider") as caught:
        onnx_engine.build(nets.doubler(), precision="fp32", device="cuda")
    assert "onnxruntime-gpu" in caught.value.hint


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine")
@pytest.mark.parametrize("name", ["unet-attention", "decoder-kl"])
def test_on_a_gpu_it_gives_the_numbers_of_torch(name):
    network = nets.network(name)
    engine = build(network, device="cuda")
    tensors = nets.example(network, rows=2)
    (seen,) = engine.run(**tensors).values()
    assert seen.device.type == "cuda"
    assert relative_error(seen, nets.expected(network, tensors)) < 1e-3


def test_running_an_engine_opens_no_connection(tmp_path):
    script = """
import sys
calls, names = [], ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda name, args: calls.append(args) if name in names else None)
import torch
from pipelines.engines import onnx_engine
from tests.pipelines.engines import nets
engine = onnx_engine.build(nets.doubler(), precision="fp32")
assert engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0
engine.close()
print("connections:", len(calls))
"""
    environment = {**os.environ, "VITASCOPE_CACHE_DIR": str(tmp_path), "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "connections: 0", done.stderr
