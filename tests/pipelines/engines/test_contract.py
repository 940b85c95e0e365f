"""What every engine promises, checked on each back end."""

from __future__ import annotations

import functools
import gc

import pytest
import torch

from pipelines.engines import onnx_engine, openvino_engine, torch_engine
from pipelines.engines.base import Engine, Network
from pipelines.engines.parity import relative_error
from realtime.core.errors import EngineError

from . import nets

BACK_ENDS = {
    "onnx": functools.partial(onnx_engine.build, exporter=nets.export_once),
    "openvino": openvino_engine.build,
    "torch": torch_engine.build,
}


SLOW = {"onnx": pytest.mark.nightly}  # each network is exported once, in 3 to 20 s


@pytest.fixture(params=[pytest.param(name, marks=SLOW.get(name, ())) for name in sorted(BACK_ENDS)])
def back_end(request):
    return BACK_ENDS[request.param]


def make(back_end, network: Network) -> Engine:
    return back_end(network, precision="fp32", device="cpu")


@pytest.mark.parametrize("name", nets.NAMES)
@pytest.mark.parametrize(("rows", "height", "width"), [(1, 8, 8), (2, 8, 12), (3, 16, 8)])
def test_it_gives_the_numbers_of_torch(back_end, name, rows, height, width):
    network = nets.network(name)
    engine = make(back_end, network)
    tensors = nets.example(network, rows, height, width, seed=rows)
    seen = engine.run(**tensors)
    assert list(seen) == [spec.name for spec in network.outputs]
    (value,) = seen.values()
    reference = nets.expected(network, tensors)
    assert str(value.dtype) == f"torch.{network.outputs[0].dtype}"
    assert reference.double().std() > 0.05, "an output of nothing proves nothing"
    most = 1 if value.dtype == torch.uint8 else 1e-3  # a level of a pixel may be rounded the other way
    assert (value.double() - reference.double()).abs().max() <= most
    assert relative_error(value, reference) < 2e-3
    engine.close()


def test_each_row_of_a_batch_is_what_it_is_alone(back_end):
    network = nets.network("unet-attention")
    engine = make(back_end, network)
    batch = nets.example(network, rows=4)
    together = engine.run(**batch)["out"].clone()
    for i in range(4):
        alone = engine.run(**{name: value[i : i + 1] for name, value in batch.items()})["out"]
        assert (together[i : i + 1] - alone).abs().max() < 1e-4


def test_results_hold_when_the_caller_keeps_nothing(back_end):
    network = nets.network("decoder-tiny")
    engine = make(back_end, network)
    reference = nets.expected(network, nets.example(network, rows=2, seed=7))
    for _ in range(100):
        seen = engine.run(**nets.example(network, rows=2, seed=7))
        gc.collect(0)
        junk = [torch.full((2, 4, 8, 8), 9.0) for _ in range(8)]  # takes the place of what was let go
        assert relative_error(seen["pixels"], reference) < 2e-3  # a level here and there
        assert len(junk) == 8
    gc.collect()


def test_inputs_may_change_after_run_and_outputs_outlive_the_engine(back_end):
    network = nets.doubler()
    engine = make(back_end, network)
    x_BN = torch.ones(1, 4)
    seen = engine.run(x=x_BN)["y"]
    x_BN.fill_(5.0)
    assert seen.tolist() == [[2.0] * 4]
    engine.close()
    del engine
    gc.collect()
    assert seen.tolist() == [[2.0] * 4]


def test_outputs_of_one_shape_stand_while_another_shape_runs(back_end):
    engine = make(back_end, nets.doubler())
    one = engine.run(x=torch.ones(1, 4))["y"]
    engine.run(x=torch.full((2, 4), 3.0))
    assert one.tolist() == [[2.0] * 4]


def test_strided_and_half_precision_inputs_are_taken(back_end):
    engine = make(back_end, nets.doubler())
    turned = torch.arange(8.0).reshape(4, 2).T
    assert engine.run(x=turned)["y"].tolist() == (turned * 2).tolist()
    assert engine.run(x=torch.ones(1, 4, dtype=torch.bfloat16))["y"].tolist() == [[2.0] * 4]


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "takes x; got nothing"),
        ({"x": (1, 4), "z": (1, 4)}, "takes x; got x, z"),
        ({"x": (1, 5)}, r"got the shape \(1, 5\)"),
        ({"x": (4,)}, "has 2 dimensions"),
        ({"x": (0, 4)}, r"got the shape \(0, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(back_end, tensors, words):
    engine = make(back_end, nets.doubler())
    with pytest.raises(EngineError, match=words):
        engine.run(**{name: torch.zeros(shape) for name, shape in tensors.items()})
    assert engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0


def test_rows_must_agree(back_end):
    network = nets.network("unet-pooled")
    engine = make(back_end, network)
    tensors = nets.example(network, rows=2)
    with pytest.raises(EngineError, match=r"one batch size, got \[1, 2\]"):
        engine.run(**(tensors | {"emb": tensors["emb"][:1]}))


def test_a_closed_engine_runs_no_more(back_end):
    engine = make(back_end, nets.doubler())
    engine.run(x=torch.ones(1, 4))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine.run(x=torch.ones(1, 4))


def test_warm_builds_a_shape_and_refuses_one_that_cannot_be(back_end):
    network = nets.network("encoder-tiny")
    engine = make(back_end, network)
    engine.warm(nets.shapes(network, rows=2))
    tensors = nets.example(network, rows=2)
    assert relative_error(engine.run(**tensors)["latent"], nets.expected(network, tensors)) < 1e-4
    with pytest.raises(EngineError, match=r"got the shape \(1, 64, 64, 4\)"):
        engine.warm({"pixels": (1, 64, 64, 4)})


def test_info_names_what_runs_it(back_end):
    engine = make(back_end, nets.doubler())
    assert engine.info.backend in BACK_ENDS
    assert engine.info.device == "cpu"
    assert engine.info.versions.startswith(engine.info.backend)
    assert any(letter.isdigit() for letter in engine.info.versions)


def test_shapes_that_were_run_in_inference_mode_may_be_warmed_outside_of_it_and_results_stay(back_end):
    network = nets.doubler()
    engine = make(back_end, network)
    with torch.inference_mode():
        seen = engine.run(x=torch.ones(1, 4))["y"]
    engine.warm({"x": (1, 4)})
    assert seen.tolist() == [[2.0] * 4]
    engine.run(x=torch.full((1, 4), 2.0))
    assert seen.tolist() == [[4.0] * 4]
    with torch.inference_mode():
        engine.run(x=torch.full((1, 4), 3.0))
    assert seen.tolist() == [[6.0] * 4]
