"""Each back end is tried: what works is told with versions, what does not with its reason."""

from __future__ import annotations

from pipelines.engines import openvino_engine, torch_engine
from pipelines.engines.survey import Standing, sample, sample_network, survey

from . import nets


def broken(network, **options):
    raise ImportError("no module")


def wrong(network, *, precision, device, report=None):
    engine = torch_engine.build(network, precision=precision, device=device)
    run = engine.run
    engine.run = lambda **tensors: {name: value + 1 for name, value in run(**tensors).items()}
    return engine


def test_each_is_tried_and_told():
    builders = {"openvino": openvino_engine.build, "torch": torch_engine.build, "a": broken, "b": wrong}
    found = survey(device="cpu", builders=builders, precisions=("fp32", "int8"))
    marks = {(one.backend, one.precision): one.is_available for one in found}
    assert marks == {
        ("openvino", "fp32"): True,
        ("openvino", "int8"): True,
        ("torch", "fp32"): True,
        ("torch", "int8"): False,
        ("a", "fp32"): False,
        ("a", "int8"): False,
        ("b", "fp32"): False,
        ("b", "int8"): False,
    }
    says = {(one.backend, one.precision): one.says for one in found}
    assert says["openvino", "fp32"].endswith(" on cpu")
    assert "no module" in says["a", "fp32"]
    assert "runs sample wrongly" in says["b", "fp32"]


def test_what_takes_long_is_built_and_not_run():
    def build(network, *, precision, device):
        engine = torch_engine.build(network, precision=precision, device=device)
        engine.run = None
        return engine

    (one,) = survey(device="cpu", builders={"torch-compile": build}, precisions=("fp32",))
    assert one == Standing("torch-compile", "fp32", True, one.says)
    assert one.says.endswith("on cpu, not tried")


def test_the_sample_is_a_network_whose_output_says_something():
    network, tensors = sample_network(), sample(1)
    assert nets.expected(network, tensors).std() > 0.1
    assert len(list(network.calibration())) == 8
