"""A loss that teaches cells which one of the next picture is theirs, before anything can refine a flow.

Correlation that tells nothing gives the decoder nothing to learn from, and what the decoder then sends back
teaches correlation little: alone they take thousands of steps to find each other. This asks it outright, as
global matching does (GMFlow, Xu et al. 2022, arXiv:2111.13680), and changes nothing in the network.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from perception.nets.streamflow.correlation import pyramid
from perception.nets.streamflow.plans import STRIDE


class Match(NamedTuple):
    """Hold the loss, a scalar with a gradient, and the share of cells whose likest cell is a neighbour of the true place."""

    total: torch.Tensor
    right: float


def match_loss(maps_BTCHW: torch.Tensor, flow_BS2HW: torch.Tensor) -> Match:
    """Return the mean cross entropy of each cell's correlation against the four cells around its true place.

    What leaves the picture does not count.
    """
    volume = pyramid(maps_BTCHW[:, :-1].flatten(0, 1), maps_BTCHW[:, 1:].flatten(0, 1), 1)[0]
    height, width = volume.shape[-2:]
    half = STRIDE // 2
    flow = flow_BS2HW.flatten(0, 1)[..., half::STRIDE, half::STRIDE] / STRIDE
    y = torch.arange(height)[:, None] + flow[:, 1]
    x = torch.arange(width) + flow[:, 0]
    inside = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    x, y = x.clamp(0, width - 1.001), y.clamp(0, height - 1.001)
    left, top = x.floor(), y.floor()
    log_p = volume.view(len(flow), height * width, height * width).log_softmax(-1)
    said = torch.zeros_like(x)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - (x - left - right).abs()) * (1 - (y - top - down).abs())
            place = ((top + down) * width + left + right).long().flatten(1)[..., None]
            said = said + weight * log_p.gather(2, place)[..., 0].view_as(x)
    best = log_p.argmax(-1).view_as(x)
    near = ((best % width - x).abs() < 1) & ((torch.div(best, width, rounding_mode="floor") - y).abs() < 1)
    return Match(-said[inside].mean(), float(near[inside].float().mean()))
