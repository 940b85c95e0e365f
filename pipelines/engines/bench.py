"""Time engines against plain torch in fp32: in turns, so that a busy moment meets all, and medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import cost
from .base import Engine, Network
from .parity import reference_of, relative_error

if TYPE_CHECKING:
    import torch

ROUNDS = 7
REFERENCE = ("torch", "fp32")


@dataclass(frozen=True, slots=True)
class Figure:
    """Hold what one engine took for one network and batch."""

    network: str
    rows: int
    backend: str
    precision: str
    ms: float
    """Median of the time of one call with all rows."""
    ratio: float
    """How many times as fast as plain torch in fp32 in the same turns."""
    relative_error: float
    """L2 of the difference to torch in fp32 by L2 of that."""


def bench(
    network: Network,
    engines: Sequence[Engine],
    example: Mapping[str, torch.Tensor],
    rows: Iterable[int],
    *,
    clock_ns: Callable[[], int],
    rounds: int = ROUNDS,
) -> list[Figure]:
    """Return the figures of `engines` for each number of rows; the first must be torch in fp32."""
    assert (engines[0].info.backend, engines[0].info.precision) == REFERENCE
    figures = []
    for count in rows:
        tensors = {name: _rows(value, count) for name, value in example.items()}
        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
        for engine in engines:
            engine.warm(shapes)
        errors = [_error(engine, network, tensors) for engine in engines]
        taken = cost.measure([_call(engine, tensors) for engine in engines], clock_ns, rounds)
        medians = [statistics.median(times) for times in taken]
        figures += [
            Figure(
                network.name, count, engine.info.backend, engine.info.precision, ms, medians[0] / ms, error
            )
            for engine, ms, error in zip(engines, medians, errors, strict=True)
        ]
    return figures


def _rows(value: torch.Tensor, count: int) -> torch.Tensor:
    """Return `count` rows like the given one, all different."""
    import torch

    draw = torch.Generator().manual_seed(count)
    rows = value.expand(count, *value.shape[1:]).clone()
    if count == 1:
        return rows
    if not rows.is_floating_point():  # levels of pixels
        return rows ^ torch.randint(0, 16, rows.shape, generator=draw, dtype=rows.dtype)
    return rows + 0.05 * torch.randn(rows.shape, generator=draw)


def _error(engine: Engine, network: Network, tensors: Mapping[str, torch.Tensor]) -> float:
    seen, expected = engine.run(**tensors), reference_of(network, tensors)
    return max(relative_error(seen[name], value) for name, value in expected.items())


def _call(engine: Engine, tensors: Mapping[str, torch.Tensor]) -> Callable[[], object]:
    if engine.info.device != "cuda":
        return lambda: engine.run(**tensors)
    import torch

    def call() -> None:
        engine.run(**tensors)
        torch.cuda.synchronize()

    return call
