"""Sizes: pictures to whole cells and back, flow of cells to flow of pixels, and what a size takes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from realtime.core.errors import ConfigError

from .plans import STRIDE, Plan


def margins(height_px: int, width_px: int) -> tuple[int, int, int, int]:
    """Return how many pixels a picture lacks to whole cells: left, right, top and bottom."""
    down, right = -height_px % STRIDE, -width_px % STRIDE
    return right // 2, right - right // 2, down // 2, down - down // 2


def padded(frames_BT3HW: Tensor) -> Tensor:
    """Repeat the border pixels until both sides are multiples of 8."""
    height, width = frames_BT3HW.shape[-2:]
    around = margins(height, width)
    if not any(around):
        return frames_BT3HW
    flat = functional.pad(frames_BT3HW.flatten(0, 1), around, mode="replicate")
    return flat.unflatten(0, frames_BT3HW.shape[:2])


def cropped(flow_B2HW: Tensor, height_px: int, width_px: int) -> Tensor:
    """Take the middle that `padded` was given; any number of leading dimensions."""
    left, _, top, _ = margins(height_px, width_px)
    return flow_B2HW[..., top : top + height_px, left : left + width_px]


def check_sides(height_px: int, width_px: int, plan: Plan) -> None:
    """Raise ConfigError for a picture that is too small for the network."""
    if min(height_px, width_px) >= plan.least_px:
        return
    raise ConfigError(
        f"A picture of {width_px}x{height_px} px is too small for this flow network: its coarsest "
        "correlation would have a single cell, which tells no motion.",
        hint=f"Give both sides at least {plan.least_px} px, or use another flow.",
    )


def enlarged(flow_B2HW: Tensor, weights_BKHW: Tensor) -> Tensor:
    """Return flow of pixels (B, 2, 8 H, 8 W) from flow of cells: a pixel mixes the nine cells around its own.

    `weights_BKHW` holds 9 x 8 x 8 channels: neighbour (row by row), then the pixel's row and column within
    the cell; neighbours are weighed by their softmax, those outside of the map as zero flow.
    """
    batch, _, height, width = flow_B2HW.shape
    weights = weights_BKHW.reshape(batch, 1, 9, STRIDE * STRIDE, height, width).softmax(2)
    around = functional.pad(STRIDE * flow_B2HW, (1, 1, 1, 1))
    near = [around[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    mixed = (weights * torch.stack(near, 2)[:, :, :, None]).sum(2)
    return functional.pixel_shuffle(mixed.flatten(1, 2), STRIDE)


def memory_bytes(plan: Plan, frames: int, height_px: int, width_px: int, batch: int = 1) -> int:
    """Estimate what a window takes in float32 beside the weights, without gradients, to about 20 %.

    Correlation (with its halved copies, 4/3) and likeness hold a number for each pair of cells and each pair
    of frames, so twice the sides take sixteen times as much. Measured on a CPU, published size, 4 frames:
    0.38 GB at 448x256, 1.85 GB at 960x432; at 1920x1080 it says 34 GB.
    """
    count = -(-height_px // STRIDE) * -(-width_px // STRIDE)
    folded = batch * (frames - 1) * count
    tokens = batch * frames * count * 4  # of the first stage: four to a cell
    encoding = tokens * plan.stages[0].channels * 10  # a block's hidden layer before and after GELU, and more
    volumes = folded * count * 4 * (1 - 0.25**plan.levels) / 3
    likeness = folded * count
    rounds = folded * plan.hidden * 5 * 6  # the update's block of five maps, with its hidden layers
    enlarging = folded * 9 * STRIDE * STRIDE * 4
    return int(4 * (encoding + volumes + likeness + rounds + enlarging))
