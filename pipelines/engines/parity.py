"""The gate that every engine passes before it is used: the same numbers as plain torch, within a tolerance.

A wrong engine shows no error, only wrong pictures: a stale cache, a bad kernel, an operation converted in a
slightly different sense. One run on one example turns that into a reason that a person can read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .base import Network

TOLERANCE: Mapping[str, float] = {"fp32": 1e-3, "bf16": 6e-2, "fp16": 2e-2, "int8": 1e-1}
"""Largest relative error (L2 of the difference by L2 of the reference). Measured for small UNets and
autoencoders: OpenVINO fp32 2e-6, torch bf16 1.4e-2, OpenVINO bf16 to 4.9e-2, int8 2e-2 to 8e-2 on random
inputs that it was not calibrated for (it has a gate of its own on real ones); a dropped input above 1e-1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what a comparison found."""

    is_good: bool
    relative: float
    """L2 of the difference by L2 of the reference, the worst of all outputs; inf when it cannot be told."""
    says: str
    """A sentence with the numbers."""


def judge(
    network: Network,
    got: Mapping[str, torch.Tensor] | None,
    reference: Mapping[str, torch.Tensor],
    precision: str,
    tolerance: float | None = None,
) -> Verdict:
    """Compare a network's outputs with torch's, in the form in which the network says they are comparable."""
    alike = network.comparable
    if alike is None or got is None:
        return compare(got, reference, precision, tolerance)
    return compare(alike(got), alike(reference), precision, tolerance)


def compare(
    got: Mapping[str, torch.Tensor] | None,
    reference: Mapping[str, torch.Tensor],
    precision: str,
    tolerance: float | None = None,
) -> Verdict:
    """Compare an engine's outputs with torch's, by name; `tolerance` stands in for that of the precision."""
    tolerance = TOLERANCE[precision] if tolerance is None else tolerance
    worst, where = 0.0, ""
    for name, expected in reference.items():
        seen = None if got is None else got.get(name)
        if seen is None:
            return Verdict(False, math.inf, f'It gave no output "{name}".')
        if tuple(seen.shape) != tuple(expected.shape):
            shapes = f"{tuple(seen.shape)} in place of {tuple(expected.shape)}"
            return Verdict(False, math.inf, f'Its output "{name}" has the shape {shapes}.')
        error = relative_error(seen, expected)
        if not error <= worst:  # also true for not-a-number
            worst, where = error, name
    if not worst <= tolerance:
        numbers = f"relative error {worst:.2g}, allowed {tolerance:g} in {precision}"
        return Verdict(False, worst, f'Its output "{where}" differs from torch: {numbers}.')
    return Verdict(True, worst, f"It agrees with torch: relative error {worst:.1g}, allowed {tolerance:g}.")


def relative_error(seen: torch.Tensor, expected: torch.Tensor) -> float:
    """Return L2 of the difference by L2 of `expected`; inf when anything seen is not finite.

    Levels of pixels (uint8) are counted from mid-grey: else any grey picture would pass for any other.
    """
    import torch

    middle = 127.5 if expected.dtype == torch.uint8 else 0.0
    difference = float((seen.detach().double().cpu() - expected.detach().double().cpu()).norm())
    size = float((expected.detach().double() - middle).norm())
    if not math.isfinite(difference):
        return math.inf
    return difference / max(size, 1e-12)


def reference_of(network: Network, example: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Run the module as it is, in plain torch, and return its outputs by name."""
    import torch

    weight = next(network.module.parameters(), None)
    device = weight.device if weight is not None else "cpu"
    with torch.inference_mode():
        found = network.module(*(example[spec.name].to(device) for spec in network.inputs))
    outputs = found if isinstance(found, tuple) else (found,)
    return {spec.name: value for spec, value in zip(network.outputs, outputs, strict=True)}
