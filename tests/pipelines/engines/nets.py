"""Small networks for engine tests, each with an example: the same three that a painter has, at toy size."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from pipelines.engines import autoencoder, export, networks
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
    make = autoencoder.encoder_network if kind == "encoder" else autoencoder.decoder_network
    return make(vae, "")


def shapes(net: Network, rows: int = 1, height: int = 8, width: int = 8) -> dict[str, tuple[int, ...]]:
    """Return input shapes of a network at a latent size."""
    sizes = {"b": rows, "h": height, "w": width, "H": height * 8, "W": width * 8, "t": tiny.TEXT_LENGTH}
    return {s.name: tuple(d if isinstance(d, int) else sizes[d] for d in s.dims) for s in net.inputs}


def example(
    net: Network, rows: int = 1, height: int = 8, width: int = 8, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Return random inputs of unit size; pixels of all levels."""
    generator = torch.Generator().manual_seed(seed)
    sizes = shapes(net, rows, height, width)
    return {
        spec.name: torch.randint(0, 256, sizes[spec.name], generator=generator, dtype=torch.uint8)
        if spec.dtype == "uint8"
        else torch.randn(sizes[spec.name], generator=generator)
        for spec in net.inputs
    }


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


@cache
def doubler(digest: str = "") -> Network:
    """Return a network "double" from "x" (b, 4) to "y"."""
    x, y = (TensorSpec(name, "float32", ("b", 4)) for name in "xy")
    return Network("double", Doubler(), (x,), (y,), digest)


_EXPORTED: dict[tuple[object, ...], bytes] = {}


def export_once(
    network: Network,
    shapes: Mapping[str, tuple[int, ...]],
    folder: Path,
    *,
    precision: str = "fp32",
    opset: int | None = None,
    only_rows: bool = False,
    **rest: Any,
) -> export.Graph:
    """Behave like `export.write`, but trace each network once in a process: that takes seconds."""
    path = folder / f"{network.name}.onnx"
    sizes = tuple(tuple(shape[1:]) for shape in shapes.values()) if only_rows else ()
    key = (network, precision, opset, sizes)
    if key not in _EXPORTED:
        export.write(network, shapes, folder, precision=precision, opset=opset, only_rows=only_rows, **rest)
        _EXPORTED[key] = path.read_bytes()
    path.write_bytes(_EXPORTED[key])
    return export.Graph(path, {}, {})


class Mixer(torch.nn.Module):
    """Take a picture, tokens and a side input; give two outputs. It halves the picture once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.words = torch.nn.Embedding(10, 8)
        self.down = torch.nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.requires_grad_(False)

    def forward(
        self, picture_B4HW: torch.Tensor, ids_BT: torch.Tensor, side_B8HW: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seen_B8 = self.words(ids_BT).mean(dim=1)
        small = self.down(picture_B4HW) + seen_B8[:, :, None, None]
        wide = torch.nn.functional.interpolate(small, scale_factor=2.0, mode="nearest") + side_B8HW
        return wide, small.mean(dim=(2, 3))


@cache
def mixer() -> Network:
    """Return a network with integer inputs and several outputs; its height and width must be even."""
    return Network(
        "mixer",
        Mixer(),
        (
            TensorSpec("picture", "float32", ("b", 4, "h", "w")),
            TensorSpec("ids", "int64", ("b", "t")),
            TensorSpec("side", "float32", ("b", 8, "h", "w")),
        ),
        (TensorSpec("wide", "float32", ("b", 8, "h", "w")), TensorSpec("mean", "float32", ("b", 8))),
        "",
    )


def mixer_example(rows: int = 1, height: int = 8, width: int = 8, tokens: int = 5) -> dict[str, torch.Tensor]:
    """Return inputs of `mixer`."""
    draw = torch.Generator().manual_seed(rows)
    return {
        "picture": torch.randn((rows, 4, height, width), generator=draw),
        "ids": torch.randint(0, 10, (rows, tokens), generator=draw),
        "side": torch.randn((rows, 8, height, width), generator=draw),
    }
