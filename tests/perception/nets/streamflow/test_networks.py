"""A fixed number of rounds as one network, in the engines of a CPU."""

from __future__ import annotations

import pytest
import torch

from perception.nets.streamflow.model import Flows, StreamFlow
from perception.nets.streamflow.networks import example, flow_network
from perception.nets.streamflow.plans import PLANS
from perception.nets.streamflow.windows import live
from pipelines.engines.choose import choose
from pipelines.engines.parity import reference_of

ONE, TWO = ((128, 160),), ((128, 160), (144, 128))
ONNX = pytest.param("onnx", ONE, marks=pytest.mark.nightly)  # its exporter takes a minute


@pytest.mark.parametrize(("engine", "sizes"), [("openvino", TWO), ONNX])
def test_an_engine_gives_the_same_flows(engine: str, sizes: tuple[tuple[int, int], ...]) -> None:
    torch.manual_seed(1)
    network = flow_network(StreamFlow(PLANS["tiny"]), "test", iterations=1)
    model = network.module.model
    ready = choose(network, wanted=engine, precision="fp32", example=example(model, 128, 160), device="cpu")
    for sides in sizes:
        given = example(model, *sides)
        given["start"] = torch.randn_like(given["start"])
        wanted, found = reference_of(network, given), ready.run(**given)
        for name, value in wanted.items():
            assert float(value.abs().max()) > 1
            assert float((found[name] - value).abs().max()) < 1e-4, (sides, name)
    ready.close()


def test_the_name_of_a_network_tells_weights_and_rounds() -> None:
    model = StreamFlow(PLANS["tiny"])
    digests = {flow_network(model, d, n).digest for d, n in (("a", 2), ("a", 3), ("b", 2))}
    digests.add(flow_network(StreamFlow(PLANS["tiny"], 3), "a", 2).digest)
    assert len(digests) == 4
    assert flow_network(model, "a", 2).digest in digests


def test_the_network_serves_live_windows() -> None:
    torch.manual_seed(1)
    model = StreamFlow(PLANS["tiny"], 3)
    network = flow_network(model, "test", iterations=1)
    frames = example(model, 128, 128)["frames"][0]

    def run(window: torch.Tensor, start: torch.Tensor | None) -> Flows:
        cold = torch.zeros(1, 2, 2, 16, 16)
        return Flows(*network.module(window, cold if start is None else start))

    with torch.no_grad():
        found = list(live(frames, 3, run))
        wanted = list(live(frames, 3, lambda window, start: model(window, 1, start)))
    assert found[0] is None
    for one, other in zip(found[1:], wanted[1:], strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)
