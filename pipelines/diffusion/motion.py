"""Motion between pictures at the size of the latents: flow that is read, chained, checked and followed.

A flow here is backward: what is at x now was at x + flow(x) in the earlier picture, in cells, x before y. So
following it is a look-up, and every cell of now gets something, or is said to be hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Map = npt.NDArray[np.float32]
AGREE = 0.01
"""Share of the motion, squared, by which the ways there and back may miss each other (Sundaram 2010)."""
AGREE_CELLS = 0.25
"""Cells, squared, by which they may always."""


def to_cells(map_HWn: Map, side: int, *, is_length: bool) -> Map:
    """Return the painted square of a map of pixels, averaged to (side, side, ...); lengths become cells."""
    height, width = map_HWn.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    cut = np.asarray(map_HWn[top : top + short, left : left + short], np.float32)
    if side == short:
        return np.ascontiguousarray(cut)
    small = np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    return small * np.float32(side / short) if is_length else small


@lru_cache(maxsize=8)
def cells(side: int) -> Map:
    """Return where each cell is, (s, s, 2)."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    grid = np.stack([x, y], axis=-1)
    grid.flags.writeable = False
    return grid


def followed(map_SSn: Map, flow_SS2: Map) -> Map:
    """Return what `map` holds where the flow came from, (s, s, ...); beyond the edge, the edge."""
    at_SS2 = cells(len(flow_SS2)) + flow_SS2
    moved: Any = cv2.remap(map_SSn, at_SS2, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(moved, np.float32)


def chained(later_SS2: Map, earlier_SS2: Map) -> Map:
    """Return the flow over two pictures: the way of the later one, then that of the earlier from there."""
    return later_SS2 + followed(earlier_SS2, later_SS2)


def visible(maps: Mapping[str, npt.NDArray[np.generic]], flow_SS2: Map) -> Map:
    """Return which cells were seen in the earlier picture, 0 to 1: (s, s).

    A cell is not where the flow leaves the picture, where a map "occlusion" (H, W) is 1, and where a map
    "flow_back" (H, W, 2; from the earlier picture to this one) does not lead back.
    """
    side = len(flow_SS2)
    x, y = cv2.split(cells(side) + flow_SS2)  # planes: sums over a last axis of two are slow
    low, high = -0.5, side - 0.5
    seen = np.asarray((x >= low) & (y >= low) & (x <= high) & (y <= high), np.float32)
    if (occlusion := maps.get("occlusion")) is not None:
        seen = seen * (
            1.0 - np.clip(to_cells(np.asarray(occlusion, np.float32), side, is_length=False), 0, 1)
        )
    if (back := maps.get("flow_back")) is not None:
        back_SS2 = followed(to_cells(np.asarray(back, np.float32), side, is_length=True), flow_SS2)
        missed = ((flow_SS2 + back_SS2) ** 2).sum(-1)
        moved = (flow_SS2**2).sum(-1) + (back_SS2**2).sum(-1)
        seen = seen * (missed <= AGREE * moved + AGREE_CELLS)
    return np.asarray(seen, np.float32)


def warped(latent_1CHW: Tensor, flow_SS2: Map) -> Tensor:
    """Return a latent as it is after the motion: bilinear, beyond the edge the edge."""
    import torch

    side = len(flow_SS2)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    at = (np.stack([x, y], axis=-1) + flow_SS2 + 0.5) * (2.0 / side) - 1.0
    grid = torch.from_numpy(np.ascontiguousarray(at[None], np.float32)).to(latent_1CHW.device)
    return torch.nn.functional.grid_sample(
        latent_1CHW, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def moved_noise(noise_NCHW: Tensor, way_SS2: Map) -> Tensor:
    """Return noise that goes with the motion, each cell that of the nearest cell where the way came from.

    Nothing is interpolated and the first noise is looked up along the whole way, so each cell keeps unit
    variance however long the way is; beyond an edge the noise of the other edge comes in. Where the motion
    spreads out, neighbours may share a value.
    """
    import torch

    side = len(way_SS2)
    y, x = np.mgrid[0:side, 0:side]
    at_x = np.rint(x + way_SS2[..., 0]).astype(np.int64) % side
    at_y = np.rint(y + way_SS2[..., 1]).astype(np.int64) % side
    return noise_NCHW[:, :, torch.from_numpy(at_y), torch.from_numpy(at_x)]
