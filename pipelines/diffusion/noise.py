"""Noise by seed, and noise between two seeds.

A seed's noise is the same for all frames, so that a still view gives a still picture. A blend of two seeds is
spherical (Shoemake 1985): the straight line between two Gaussian noises is too short to be noise, and a
network takes it for a washed-out picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

KEPT_NOISES = 16
KEPT_BLENDS = 8
"""A noise for pictures of 1024 px in 32 channels and 4 steps takes 8 MB."""
BLEND_STEPS = 64
"""A share of a blend is rounded to a 64th, so that a slow turn of the knob costs few noises."""
NEARLY_PARALLEL = 0.9995
"""Cosine above which the straight line is as good, and the sphere's formula loses its digits."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """Name a noise: a seed, or a point on the way to another one."""

    seed: int = 2
    to: int = 2
    share: float = 0.0
    """0 is `seed`, 1 is `to`."""


class Noises:
    """Make noises of one model's latents, and remember the newest. From any thread."""

    def __init__(self, channels: int, device: str = "cpu") -> None:
        self._channels = channels
        self._device = device
        self.of_seed = lru_cache(KEPT_NOISES)(self._of_seed)
        self._blend = lru_cache(KEPT_BLENDS)(self._make_blend)

    def blended(self, seeds: Seeds, steps: int, side: int) -> Tensor:
        """Return the noises of all steps, (steps, C, side, side); not to be written to."""
        tick = round(seeds.share * BLEND_STEPS)
        if tick == 0 or seeds.to == seeds.seed:
            return self.of_seed(seeds.seed, steps, side)
        if tick == BLEND_STEPS:
            return self.of_seed(seeds.to, steps, side)
        return self._blend(seeds.seed, seeds.to, tick, steps, side)

    def _of_seed(self, seed: int, steps: int, side: int) -> Tensor:
        import torch

        generator = torch.Generator("cpu").manual_seed(seed)
        return torch.randn((steps, self._channels, side, side), generator=generator).to(self._device)

    def _make_blend(self, seed: int, to: int, tick: int, steps: int, side: int) -> Tensor:
        one, other = self.of_seed(seed, steps, side), self.of_seed(to, steps, side)
        return slerp(one, other, tick / BLEND_STEPS, dims=(1, 2, 3))


def slerp(one: Tensor, other: Tensor, share: float, dims: tuple[int, ...] = (-1,)) -> Tensor:
    """Return the point at `share` (0..1) of the arc from `one` to `other`; `dims` make up a vector."""
    import torch

    size_one = torch.linalg.vector_norm(one, dim=dims, keepdim=True)
    size_other = torch.linalg.vector_norm(other, dim=dims, keepdim=True)
    one_unit, other_unit = one / size_one.clamp_min(1e-12), other / size_other.clamp_min(1e-12)
    cosine = (one_unit * other_unit).sum(dims, keepdim=True).clamp(-1.0, 1.0)
    angle = torch.acos(cosine)
    sine = torch.sin(angle).clamp_min(1e-6)
    arc = (torch.sin((1.0 - share) * angle) * one_unit + torch.sin(share * angle) * other_unit) / sine
    line = (1.0 - share) * one_unit + share * other_unit
    direction = torch.where(cosine.abs() > NEARLY_PARALLEL, line, arc)
    return direction * ((1.0 - share) * size_one + share * size_other)
