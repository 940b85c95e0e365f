"""Noise levels of SANA-Sprint, which counts them as angles. Pure.

TrigFlow (Lu and Song 2024, arXiv:2410.11081) noises a picture to cos(t) * clean + sin(t) * noise. SANA-Sprint
(Chen et al. 2025, arXiv:2503.09641) was made of a flow matching model by rescaling its input and its output;
seen from the network nothing but that model is left. Divide the noised latent by cos(t) + sin(t): it becomes
(1 - s) * clean + s * noise with s = sin(t) / (cos(t) + sin(t)), the network is told s, and answers with the
flow noise - clean. So an angle is a `Step` with a = 1 - s, b = s, and "flow" as prediction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .levels import LCM_GRID
from .schedule import FLOW, SAMPLERS, Schedule, Step, linked, without_noise

FIRST = 1.57080
"""Angle of pure noise that the model starts at."""
SECOND = 1.3
"""Angle of the second of two steps."""


@dataclass(frozen=True, slots=True)
class Angles:
    """Hold what a model's folder says about its angles."""

    first: float = FIRST
    second: float = SECOND
    table: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """Angles by number of steps, as `vitascope.json` lists them."""
    prediction: str = FLOW
    sampler: str = "lcm"
    eta: float = 0.3
    """Share of fresh noise of the sampler "tcd"."""
    starts_as_noise: bool = True
    translates: bool = False

    def schedule(
        self,
        steps: int,
        strength: float,
        *,
        t_index: Sequence[int] = (),
        sampler: str = "",
        adds_noise: bool = True,
    ) -> Schedule:
        """Return the steps of a frame. `strength` is the share of the way from the picture to pure noise.

        `t_index` names places in a grid of 50 even angles, 0 the noisiest. "lcm" renoises each clean estimate
        with fresh noise, as the model was made for. Raises ValueError for a sampler that is not known and for
        places outside the grid.
        """
        sampler = sampler or self.sampler
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler {sampler!r} is not one of {', '.join(SAMPLERS)}")
        if t_index and not 0 <= min(t_index) <= max(t_index) < LCM_GRID:
            raise ValueError(f"t_index must lie in 0..{LCM_GRID - 1}, got {list(t_index)}")
        angles = (
            [self.first * (1.0 - place / LCM_GRID) for place in t_index]
            if t_index
            else self.angles(steps, strength)
        )
        below = [_step(angle * (1.0 - self.eta)) for angle in angles]
        made = linked([_step(angle) for angle in angles], below, sampler)
        return made if adds_noise else without_noise(made)

    def angles(self, steps: int, strength: float) -> tuple[float, ...]:
        """Return the angles, the noisiest first; all fall as `strength` falls."""
        if steps in self.table:
            whole = self.table[steps]
        elif steps == 2:
            whole = (self.first, self.second)
        else:
            whole = tuple(self.first * (steps - i) / steps for i in range(steps))
        return tuple(angle * max(strength, 1.0 / LCM_GRID) for angle in whole)

    def painted(self, strength: float) -> float:
        """Return which share of the finished latent is painted: all of it."""
        return 1.0


def _step(angle: float) -> Step:
    """Return the step at an angle. Its share of noise may be a hair above 1: the first passes pi / 2."""
    a, b = math.cos(angle), math.sin(angle)
    s = b / (a + b)
    return Step(s, 1.0 - s, s, fresh=s)
