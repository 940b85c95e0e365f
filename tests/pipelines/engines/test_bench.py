"""Medians and ratios with engines that take as long as the test says."""

from __future__ import annotations

import pytest
import torch

from pipelines.engines import bench as bench_module
from pipelines.engines.base import EngineInfo
from pipelines.engines.bench import Figure, bench

from . import nets


class Timed:
    """Double, add `off`, and let time pass."""

    def __init__(self, clock, backend: str, ms, off: float = 0.0) -> None:
        self.info = EngineInfo(backend, "fp32", "cpu", "1")
        self.order = clock.order
        self._clock, self._ms, self._off = clock, ms, off

    def run(self, x):
        self.order.append((self.info.backend, len(x)))
        self._clock.ns += int(next(self._ms) * 1e6)
        return {"y": x * 2 + self._off}

    def warm(self, shapes):
        self.order.append(("warm", shapes["x"][0]))


class Clock:
    def __init__(self) -> None:
        self.ns, self.order = 0, []

    def __call__(self) -> int:
        return self.ns


def test_figures_are_medians_of_turns():
    clock = Clock()
    first = Timed(clock, "torch", iter([0, 0, 10.0, 12.0, 500.0, 0, 0, 20.0, 20.0, 20.0]))
    second = Timed(clock, "openvino", iter([0, 0, 4.0, 3.0, 1.0, 0, 0, 5.0, 5.0, 5.0]), off=0.1)
    example = {"x": torch.tensor([[1.0, -1.0, 1.0, -1.0]])}
    found = bench(nets.doubler(), [first, second], example, (1, 2), clock_ns=clock, rounds=3)
    assert [(one.rows, one.backend, one.ms, one.ratio) for one in found] == [
        (1, "torch", 12.0, 1.0),
        (1, "openvino", 3.0, 4.0),
        (2, "torch", 20.0, 1.0),
        (2, "openvino", 5.0, 4.0),
    ]
    assert found[0].relative_error == 0.0
    assert found[1].relative_error == pytest.approx(0.05)
    assert isinstance(found[0], Figure)
    timed = clock.order[4:12]
    assert timed == [("torch", 1), ("openvino", 1)] * 4, "in turns"


def test_rows_of_pixels_stay_pixels_and_differ():
    pixels = torch.tensor([[[[0, 1, 2], [253, 254, 255]]]], dtype=torch.uint8)
    rows = bench_module._rows(pixels, 3)
    assert rows.dtype == torch.uint8
    assert not torch.equal(rows[0], rows[1])
    assert (rows.int() - pixels.int()).abs().max() < 16
    assert torch.equal(bench_module._rows(pixels, 1), pixels)


def test_the_first_is_the_reference():
    clock = Clock()
    with pytest.raises(AssertionError):
        bench(nets.doubler(), [Timed(clock, "openvino", iter([]))], {}, (1,), clock_ns=clock)
