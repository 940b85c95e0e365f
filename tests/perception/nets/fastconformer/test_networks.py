"""A step in the engines: the same frames as torch, and the same words from a stream."""

from __future__ import annotations

import pytest
import torch

from perception.nets.fastconformer.model import FastConformer
from perception.nets.fastconformer.networks import example, step_network
from perception.nets.fastconformer.runtime import Runtime
from pipelines.engines import onnx_engine
from pipelines.engines.choose import choose
from realtime.core.errors import EngineUnavailable
from tests.perception.nets.fastconformer.tiny import PLAN, decoder_of, offline, sound, tiny


@pytest.fixture(scope="module")
def model() -> FastConformer:
    return tiny()


@pytest.mark.nightly  # what takes time is building them
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_an_engine_hears_the_same(model: FastConformer, engine: str) -> None:
    network, given = step_network(model, "test", 1), example(model, 1)
    ready = choose(network, wanted=engine, precision="fp32", example=given, device="cpu")
    for kind in ("ctc", "rnnt"):
        runtime = Runtime(model.plan, lambda lookahead: ready, decoder_of(model, kind))
        said, _ = runtime.finish(runtime.push(runtime.begin(1), sound(4.1)))
        wanted = offline(model, kind, sound(4.1), 1)[1]
        assert len(wanted) > 2
        assert [(one.id, one.frame) for one in said] == wanted
    ready.close()


@pytest.mark.nightly
def test_rounded_to_int8_it_hears_nearly_the_same(model: FastConformer) -> None:
    network, given = step_network(model, "test", 6), example(model, 6)
    engine = choose(network, wanted="auto", precision="int8", example=given, device="cpu")
    assert (engine.info.backend, engine.info.precision) == ("onnx", "int8")
    with torch.inference_mode():
        exact = network.module(*given.values())[0]
    found = engine.run(**given)["frames"]
    apart = float((found - exact).norm() / exact.norm())
    assert 1e-5 < apart < 0.08  # rounded, and little
    engine.close()


def test_int8_is_for_networks_that_say_they_bear_it(model: FastConformer) -> None:
    from dataclasses import replace

    network = step_network(model, "test", 0)
    with pytest.raises(EngineUnavailable, match="runs fp32 on cpu, not int8"):
        onnx_engine.build(replace(network, rounds_products=False), precision="int8")
    onnx_engine.build(network, precision="int8").close()


@pytest.mark.gpu
def test_tensorrt_hears_the_same(model: FastConformer) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    network, given = step_network(model, "test", 6), example(model, 6)
    engine = choose(network, wanted="tensorrt", precision="fp32", example=given, device="cuda")
    with torch.inference_mode():
        exact = network.module(*given.values())[0]
    assert float((engine.run(**given)["frames"].cpu() - exact).abs().max()) < 1e-2
    engine.close()


def test_the_name_of_a_network_tells_weights_plan_and_lookahead(model: FastConformer) -> None:
    digests = {step_network(model, d, n).digest for d, n in (("a", 0), ("a", 1), ("b", 1))}
    assert len(digests) == 3
    assert step_network(model, "a", 0).digest in digests
    assert {spec.name for spec in step_network(model, "a", 0).inputs} >= {"mel", "keys", "edges"}
    assert PLAN.stages == 3
