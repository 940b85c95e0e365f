"""Tiny UNets with what the extensions add, run plainly and by the engines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from pipelines.engines import networks, openvino_engine, torch_engine
from pipelines.engines.base import Engine
from pipelines.engines.networks import Extension
from tests import tiny

BACK_ENDS = {"torch": torch_engine.build, "openvino": openvino_engine.build}
THREE = {
    "block_out_channels": (16, 24, 32),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}
"""A UNet of three levels, as Stable Diffusion has four."""


@cache
def unet(kind: str = "sd") -> Any:
    """Return a tiny UNet; "three" is one of three levels. Shared between tests: leave it as it is."""
    return tiny.make_unet("sd", **THREE) if kind == "three" else tiny.make_unet(kind)  # type: ignore[arg-type]


def inputs(net: Any, rows: int, side: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return latent, emb and context of unit size."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {
        "latent": (rows, int(net.config.in_channels), side, side),
        "emb": (rows, networks.embedding_size(net)),
        "context": (rows, tiny.TEXT_LENGTH, tiny.TEXT_DIM),
    }
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def plainly(net: Any, named: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return what the UNet gives with nothing added."""
    with torch.inference_mode():
        out: torch.Tensor = networks.unet_network(net, "").module(
            named["latent"], named["emb"], named["context"]
        )
    return out


_engines: dict[tuple[object, ...], Engine] = {}


def extended(
    net: Any, extensions: Sequence[Extension], back_end: str, named: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return all outputs of the UNet with extensions, from one of the engines; built once."""
    key = (id(net), back_end, *((one.name, one.recipe) for one in extensions))
    if key not in _engines:
        network = networks.unet_network(net, "", extensions)
        _engines[key] = BACK_ENDS[back_end](network, precision="fp32", device="cpu")
    return {name: value.clone() for name, value in _engines[key].run(**named).items()}
