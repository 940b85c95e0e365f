"""Which precision "auto" is, and that bf16 nobody asked for goes through a closer gate."""

from __future__ import annotations

import pytest

from pipelines.engines import auto, openvino_engine, torch_engine
from pipelines.engines.base import EngineInfo
from pipelines.engines.choose import choose

from . import nets
from .test_choose import EXAMPLE

ORDER = ("openvino", "torch")


def tried(precision: str, usual: str = "fp32", has_bf16: bool = True) -> list[tuple[str, str]]:
    return [(one.backend, one.precision) for one in auto.tries(ORDER, precision, usual, has_bf16)]


def test_bf16_comes_first_where_the_processor_has_it_and_only_for_auto():
    assert tried("auto") == [("openvino", "bf16"), ("openvino", "fp32"), ("torch", "fp32")]
    assert tried("auto", has_bf16=False) == [("openvino", "fp32"), ("torch", "fp32")]
    assert tried("fp32") == [("openvino", "fp32"), ("torch", "fp32")]
    assert tried("auto", usual="bf16") == [("openvino", "bf16"), ("torch", "bf16")]


def answering(error: float):
    """Return a builder whose engine is off by `error` in bf16, and exact in fp32."""

    class Off:
        def __init__(self, precision: str) -> None:
            self.info = EngineInfo("openvino", precision, "cpu", "openvino 0")

        def run(self, x):
            return {"y": x * 2 * (1 + (error if self.info.precision == "bf16" else 0.0))}

        def close(self):
            pass

    return lambda network, precision, **options: Off(precision)


@pytest.mark.parametrize(("error", "precision"), [(0.015, "bf16"), (0.03, "fp32")])
def test_the_gate_of_auto_is_closer_than_that_of_a_wish(error, precision):
    builders = {"openvino": answering(error), "torch": torch_engine.build}
    options = {"example": EXAMPLE, "device": "cpu", "builders": builders, "has_bf16": True}
    engine = choose(nets.doubler(), **options)
    assert (engine.info.backend, engine.info.precision) == ("openvino", precision)
    wished = choose(nets.doubler(), precision="bf16", **options)
    assert wished.info.precision == "bf16"
    if precision == "bf16":
        assert "which this processor does in half the time" in engine.info.why
    else:
        ((name, reason),) = engine.info.refused
        assert name == "openvino in bf16"
        assert "relative error 0.03, allowed 0.02" in reason


@pytest.mark.skipif(not auto.has_bf16(), reason="this processor has no bf16")
def test_where_the_flags_tell_of_bf16_openvino_agrees():
    assert openvino_engine.build(nets.doubler(), precision="bf16").info.precision == "bf16"
    engine = choose(
        nets.network("encoder-tiny"), example=nets.example(nets.network("encoder-tiny")), device="cpu"
    )
    assert engine.info.precision == "bf16"
