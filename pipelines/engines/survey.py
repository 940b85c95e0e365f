"""Find out by trying what each back end can run here, and in which precision.

A small network goes through the same choice and the same gate as a painter's. Only torch.compile is not run,
since its first answer takes as long as all others together: its compiler is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime.core.errors import EngineError

from .base import Network, TensorSpec
from .choose import BUILT_IN, PRECISIONS, Builder, choose, default_device

if TYPE_CHECKING:
    import torch

SLOW = ("torch-compile",)
SIDE = 16


@dataclass(frozen=True, slots=True)
class Standing:
    """Say whether a back end serves in one precision."""

    backend: str
    precision: str
    is_available: bool
    says: str
    """Versions and device where it does, else why not."""


def survey(
    *,
    device: str | None = None,
    builders: Mapping[str, Builder] | None = None,
    precisions: Iterable[str] = PRECISIONS[1:],
) -> list[Standing]:
    """Return how each back end stands in each precision; takes some seconds."""
    device = device or default_device()
    known = BUILT_IN if builders is None else builders
    network = sample_network()
    return [_standing(name, precision, network, device, known) for name in known for precision in precisions]


def _standing(
    name: str, precision: str, network: Network, device: str, builders: Mapping[str, Builder]
) -> Standing:
    try:
        if name in SLOW:
            engine = builders[name](network, precision=precision, device=device)
            assert engine is not None  # of the built-in ones none gives None
        else:
            engine = choose(
                network,
                wanted=name,
                precision=precision,
                example=sample(0),
                device=device,
                builders=builders,
            )
    except EngineError as error:
        return Standing(name, precision, False, error.message)
    says = f"{engine.info.versions} on {engine.info.device}"
    engine.close()
    return Standing(name, precision, True, f"{says}, not tried" if name in SLOW else says)


def sample_network() -> Network:
    """Return a small network that can be calibrated: "x" (b, 4, h, w) to "y" of the same size."""
    import torch
    from torch import nn

    draw = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 4, 3, padding=1))
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.2)
    x, y = (TensorSpec(name, "float32", ("b", 4, "h", "w")) for name in "xy")
    module = module.eval().requires_grad_(False)
    return Network("sample", module, (x,), (y,), "", calibration=lambda: [sample(i) for i in range(8)])


def sample(seed: int) -> dict[str, torch.Tensor]:
    """Return an input of it."""
    import torch

    return {"x": torch.randn((1, 4, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))}
