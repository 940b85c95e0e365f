"""StreamFlow with a fixed number of rounds as one network for engines: a window in, its flows out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.engines.base import Network, TensorSpec

from .model import StreamFlow
from .plans import STRIDE

SOURCES = (
    "blocks.py",
    "correlation.py",
    "decoder.py",
    "encoder.py",
    "model.py",
    "networks.py",
    "plans.py",
    "sides.py",
)


class Refined(nn.Module):
    """Padded frames (B, T, 3, H, W) and what to begin with, in cells, to flows in pixels and in cells."""

    def __init__(self, model: StreamFlow, iterations: int) -> None:
        super().__init__()
        self.model, self._iterations = model, iterations

    def forward(self, frames: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        found = self.model.refined(frames, self._iterations, start)
        return found.pixels_BS2HW, found.cells_BS2HW


def flow_network(model: StreamFlow, digest: str, iterations: int) -> Network:
    """Return the network: "frames" and "start" to "flow" and "cells", sides multiples of 8 (`sides.padded`).

    A cold start is zeros. The model is put to inference. `digest` names its weights; the code that is traced
    and the number of rounds are added.
    """
    model.eval().requires_grad_(False)
    here = Path(__file__).parent
    summed = hashlib.sha256(f"{digest} {iterations} {model.frames} {model.plan}".encode())
    for name in SOURCES:
        summed.update((here / name).read_bytes())
    pairs = model.frames - 1
    return Network(
        "flow",
        Refined(model, iterations),
        (
            TensorSpec("frames", "float32", ("b", model.frames, 3, "h", "w")),
            TensorSpec("start", "float32", ("b", pairs, 2, "h8", "w8")),
        ),
        (
            TensorSpec("flow", "float32", ("b", pairs, 2, "h", "w")),
            TensorSpec("cells", "float32", ("b", pairs, 2, "h8", "w8")),
        ),
        summed.hexdigest(),
    )


def example(model: StreamFlow, height_px: int, width_px: int, batch: int = 1) -> dict[str, Tensor]:
    """Return inputs as a moving camera would give them: soft pictures, each a little further to the right."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, height_px // 8, width_px // 8, generator=draw) * 255
    first = nn.functional.interpolate(coarse, size=(height_px, width_px), mode="bilinear")
    frames = torch.stack([first.roll(3 * k, -1) for k in range(model.frames)], 1)
    start = torch.zeros(batch, model.frames - 1, 2, height_px // STRIDE, width_px // STRIDE)
    return {"frames": frames, "start": start}
