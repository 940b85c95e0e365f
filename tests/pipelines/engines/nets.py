"""Small networks for engine tests, each with an example: the same three that a painter has, at toy size."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch

from pipelines.engines import networks
from pipelines.engines.base import Network, TensorSpec
from tests import tiny

NAMES = ("unet-attention", "unet-pooled", "encoder-tiny", "encoder-kl", "decoder-tiny", "decoder-kl")


@cache
def network(name: str) -> Network:
    """Return one of NAMES. Shared between tests: leave its module as it is."""
    kind, _, of = name.partition("-")
    if kind == "unet":
        unet = tiny.make_unet("sd" if of == "attention" else "painter", channels=4)
        return networks.unet_network(unet, digest="")
    vae = tiny.make_vae("kl" if of == "kl" else "tiny", channels=4)
    return networks.encoder_network(vae, "") if kind == "encoder" else networks.decoder_network(vae, "")


def shapes(net: Network, rows: int = 1, height: int = 8, width: int = 8) -> dict[str, tuple[int, ...]]:
    """Return input shapes of a network at a latent size."""
    sizes = {"b": rows, "h": height, "w": width, "H": height * 8, "W": width * 8, "t": tiny.TEXT_LENGTH}
    return {s.name: tuple(d if isinstance(d, int) else sizes[d] for d in s.dims) for s in net.inputs}


def example(
    net: Network, rows: int = 1, height: int = 8, width: int = 8, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Return random inputs of unit size."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(s, generator=generator) for name, s in shapes(net, rows, height, width).items()}


def expected(net: Network, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return what the module itself gives."""
    with torch.inference_mode():
        out: torch.Tensor = net.module(*(tensors[spec.name] for spec in net.inputs))
    return out


class Doubler(torch.nn.Module):
    """Give twice its input: the smallest network there is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0), requires_grad=False)

    def forward(self, x_BN: torch.Tensor) -> torch.Tensor:
        return x_BN * self.weight


def doubler(digest: str = "") -> Network:
    """Return a network "double" from "x" (b, 4) to "y"."""
    x, y = (TensorSpec(name, "float32", ("b", 4)) for name in "xy")
    return Network("double", Doubler(), (x,), (y,), digest)
