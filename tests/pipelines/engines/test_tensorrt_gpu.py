"""TensorRT on a real GPU: numbers, recordings, streams, weights. Skipped where there is none."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pipelines.engines import tensorrt_engine
from pipelines.engines.key import Shelf
from pipelines.engines.parity import TOLERANCE, relative_error
from pipelines.engines.tensorrt_engine import TensorRtEngine
from realtime.core.errors import EngineUnavailable

from . import nets

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine"),
]


def engine_of(network, precision="fp16", **options) -> TensorRtEngine:
    try:
        engine = tensorrt_engine.build(network, precision=precision, **options)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    assert isinstance(engine, TensorRtEngine)
    return engine


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("name", ["unet-attention", "encoder-kl", "decoder-tiny"])
def test_it_gives_the_numbers_of_torch_at_least_usual_and_most_rows(name, precision):
    network = nets.network(name)
    engine = engine_of(network, precision, rows=(1, 2, 4))
    for rows in (1, 3, 4, 6):
        tensors = nets.example(network, rows=rows, seed=rows)
        for _ in range(4):  # launched twice, recorded, replayed
            (seen,) = engine.run(**tensors).values()
            assert seen.device.type == "cuda"
            assert relative_error(seen, nets.expected(network, tensors)) < TOLERANCE[precision]
    engine.close()


def test_a_replay_is_what_a_launch_is():
    network = nets.network("unet-attention")
    engine = engine_of(network, rows=(2,))
    tensors = {name: value.cuda() for name, value in nets.example(network, rows=2).items()}
    launched = engine.run(**tensors)["out"].clone()
    for _ in range(3):
        engine.run(**{name: torch.randn_like(value) for name, value in tensors.items()})
    assert torch.equal(engine.run(**tensors)["out"], launched)


def test_results_are_ready_for_the_callers_stream_and_inputs_may_change():
    network = nets.network("unet-attention")
    engine = engine_of(network, rows=(4,))
    engine.warm(nets.shapes(network, rows=4))
    stream = torch.cuda.Stream()
    examples = [nets.example(network, rows=4, seed=seed) for seed in range(8)]
    expected = [engine.run(**tensors)["out"].clone() for tensors in examples]
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        moved = {name: value.cuda() for name, value in examples[0].items()}
        for _ in range(20):
            for tensors, reference in zip(examples, expected, strict=True):
                for name, value in tensors.items():
                    moved[name].copy_(value.cuda())
                kept = engine.run(**moved)["out"] - reference
                for value in moved.values():
                    value.fill_(float("nan"))
                assert float(kept.abs().max()) == 0.0


@pytest.mark.parametrize("is_refittable", [True, False])
def test_other_weights_are_served_without_a_stop(is_refittable, tmp_path):
    network = dataclasses.replace(nets.network("decoder-tiny"), digest="old")
    engine = engine_of(network, rows=(1,), is_refittable=is_refittable, shelf=Shelf(tmp_path))
    tensors = nets.example(network)
    engine.run(**tensors)
    other = nets.tiny.make_vae("tiny", channels=4, seed=9)
    changed = dataclasses.replace(nets.autoencoder.decoder_network(other, "new"), name=network.name)
    engine.change(changed)
    while engine._thread is not None:
        engine.run(**tensors)
    reference = nets.expected(changed, tensors)
    for _ in range(4):
        assert relative_error(engine.run(**tensors)["pixels"], reference) < TOLERANCE["fp16"]


def test_a_second_start_finds_its_engine(tmp_path):
    network = dataclasses.replace(nets.network("decoder-tiny"), digest="weights")
    engine_of(network, rows=(1,), shelf=Shelf(tmp_path)).warm(nets.shapes(network))
    said: list[str] = []
    engine_of(network, rows=(1,), shelf=Shelf(tmp_path), report=said.append).warm(nets.shapes(network))
    assert said == []
