"""Each back end that runs here, in each precision, against torch in fp32: near, and no nearer than it can."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipelines.engines import auto, parity
from pipelines.engines.choose import choose

from . import nets

BF16 = pytest.mark.skipif(not auto.has_bf16(), reason="this processor has no bf16")
CASES = [
    ("torch", "fp32", 0.0, 1e-5),
    ("openvino", "fp32", 0.0, 1e-5),
    ("torch", "bf16", 1e-3, 3e-2),
    pytest.param("openvino", "bf16", 1e-3, 3e-2, marks=BF16),
    ("openvino", "int8", 5e-3, 1e-1),
]
"""Back end, precision, and between what the relative error must be."""


@pytest.mark.parametrize(("backend", "precision", "least", "most"), CASES)
@pytest.mark.parametrize("name", ["unet-pooled", "encoder-tiny", "decoder-tiny"])
def test_it_is_as_near_as_its_numbers_are_fine(backend, precision, least, most, name):
    plain = nets.network(name)
    network = replace(plain, calibration=lambda: [nets.example(plain, seed=seed) for seed in range(8)])
    engine = choose(
        network, wanted=backend, precision=precision, example=nets.example(plain, seed=20), device="cpu"
    )
    tensors = nets.example(plain, rows=2, seed=21)
    (seen,) = engine.run(**tensors).values()
    error = parity.relative_error(seen, nets.expected(plain, tensors))
    assert least <= error < most
    assert most <= parity.TOLERANCE[precision]
    engine.close()


def test_what_is_shared_with_the_reference_stays_in_full_precision():
    network = nets.network("decoder-kl")
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    engine = choose(network, wanted="torch", precision="bf16", example=nets.example(network), device="cpu")
    engine.run(**nets.example(network, rows=2))
    after = network.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert {value.dtype for value in after.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("factor", "precision", "is_good"),
    [(1.05, "fp32", False), (1.05, "int8", True), (1.12, "int8", False), (1.0005, "fp32", True)],
)
def test_the_gate_allows_what_the_precision_does(factor, precision, is_good):
    reference = {"y": torch.arange(1.0, 5.0)}
    verdict = parity.compare({"y": reference["y"] * factor}, reference, precision)
    assert verdict.is_good == is_good
    assert verdict.relative == pytest.approx(factor - 1.0, rel=1e-3)


def test_a_tolerance_of_its_own_stands_in_for_that_of_the_precision():
    reference = {"y": torch.ones(4)}
    assert parity.compare({"y": torch.full((4,), 1.03)}, reference, "bf16").is_good
    assert not parity.compare({"y": torch.full((4,), 1.03)}, reference, "bf16", tolerance=2e-2).is_good


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("backend", ["torch", "torch-compile"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", ["unet-pooled", "decoder-tiny"])
def test_on_a_gpu_it_is_within_what_the_gate_allows(backend, precision, name):
    network = nets.network(name)
    engine = choose(
        network, wanted=backend, precision=precision, example=nets.example(network), device="cuda"
    )
    tensors = nets.example(network, rows=2, seed=21)
    (seen,) = engine.run(**tensors).values()
    assert seen.device.type == "cuda"
    assert parity.relative_error(seen, nets.expected(network, tensors)) < parity.TOLERANCE[precision]
    engine.close()


def test_levels_of_pixels_are_counted_from_mid_grey():
    levels = torch.tensor([0, 64, 191, 255], dtype=torch.uint8)
    numbers = levels / 127.5 - 1.0
    off = torch.tensor([9, 60, 200, 240], dtype=torch.uint8)
    assert parity.relative_error(levels, levels) == 0.0
    expected = parity.relative_error(off / 127.5 - 1.0, numbers)
    assert parity.relative_error(off, levels) == pytest.approx(expected, rel=1e-5)
