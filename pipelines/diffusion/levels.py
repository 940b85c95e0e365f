"""Which noise levels a frame passes through: by model, number of steps and strength. Pure.

How `strength` (0 to 1, the usual value is 0.5) acts, never in the other direction:

- LCM and turbo models: as in diffusers, it is the share of the noise range that is used;
- a model whose folder lists its noise levels: the list is at 0.5 (or where the folder says), and levels scale
  with the strength;
- a *translator* (it names the painted picture, not the noised one): above 0.5 levels scale in the same way,
  below 0.5 they stay and the finished latent is mixed with the frame's own, `2 * strength` parts of it
  painted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .schedule import Schedule, make_schedule, without_noise

LCM_GRID = 50
"""Number of noise levels that LCMs are distilled at."""
USUAL_STRENGTH = 0.5


def lcm_indices(steps: int, strength: float, grid: int = LCM_GRID) -> tuple[int, ...]:
    """Return the t_index_list (0 = noisiest) that diffusers' LCM img2img takes at this strength.

    A strength too small for the number of steps is raised to the least that fits, where diffusers refuses.
    """
    used = max(int(grid * strength), steps)
    return tuple(grid - used + used * i // steps for i in range(steps))


def at_indices(indices: Sequence[int], train_steps: int = 1000, grid: int = LCM_GRID) -> tuple[int, ...]:
    """Return the timesteps of a t_index_list into LCM's grid: 0 -> 999, 32 -> 359, 49 -> 19."""
    return tuple((grid - index) * (train_steps // grid) - 1 for index in indices)


def trailing(steps: int, strength: float, train_steps: int = 1000) -> tuple[int, ...]:
    """Return SD-Turbo's timesteps ("trailing" spacing): at strength 1 and four steps 999, 749, 499, 249."""
    reach = max(train_steps * strength, steps)
    return tuple(round(reach * (steps - i) / steps) - 1 for i in range(steps))


def listed(
    table: Mapping[int, Sequence[int]], steps: int, factor: float = 1.0, train_steps: int = 1000
) -> tuple[int, ...]:
    """Return the listed timesteps for `steps`, times `factor`, falling, inside 1 to `train_steps` - 1.

    A number of steps that is not listed takes evenly spaced points of the next longer list (else the
    longest).
    """
    longer = [n for n in table if n >= steps]
    source = tuple(table[min(longer) if longer else max(table)])
    if len(source) == 1:
        source += (source[0] // steps,)
    found: list[int] = []
    for i in range(steps):
        place = i * (len(source) - 1) / max(steps - 1, 1)
        low = int(place)
        high = min(low + 1, len(source) - 1)
        t = round((source[low] + (place - low) * (source[high] - source[low])) * factor)
        found.append(max(min(t, train_steps - 1, found[-1] - 1 if found else t), 1))
    # Where the lower bound made levels equal, the earlier ones move up.
    for i in range(steps - 2, -1, -1):
        found[i] = max(found[i], found[i + 1] + 1)
    return tuple(found)


class NoiseLevels(Protocol):
    """What the painter needs of a model's noise levels: `Levels`, or `angles.Angles`."""

    @property
    def prediction(self) -> str: ...

    @property
    def starts_as_noise(self) -> bool: ...

    @property
    def translates(self) -> bool: ...

    def schedule(
        self,
        steps: int,
        strength: float,
        *,
        t_index: Sequence[int] = (),
        sampler: str = "",
        adds_noise: bool = True,
    ) -> Schedule: ...

    def painted(self, strength: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Levels:
    """Hold what a model's folder says about its noise levels."""

    alphas_cumprod: tuple[float, ...]
    """Share of the picture's variance that is left at each training timestep."""
    prediction: str
    timestep_scaling: float = 10.0
    table: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Timesteps by number of steps, as `vitascope.json` lists them; empty when it lists none."""
    listed_at: float = USUAL_STRENGTH
    """Strength that the table is for; a model made to paint from noise alone lists its levels for 1."""
    is_trailing: bool = False
    """Whether the levels are SD-Turbo's rather than LCM's."""
    translates: bool = False
    """Whether the network names the painted picture."""
    sampler: str = "lcm"
    """What the model was distilled for."""
    eta: float = 0.3
    """Share of fresh noise of the sampler "tcd"."""
    end_alpha: float = 1.0
    """Where the sampler "ddim" ends: 1 is the clean picture."""
    starts_as_noise: bool = True
    """Whether the first step of a picture from words alone sees noise of unit size; otherwise it sees noise
    of the size that its level has, which is a little less."""

    def schedule(
        self,
        steps: int,
        strength: float,
        *,
        t_index: Sequence[int] = (),
        sampler: str = "",
        adds_noise: bool = True,
    ) -> Schedule:
        """Return the steps of a frame. `strength` is 0 to 1.

        `t_index` names the levels themselves, as StreamDiffusion's `t_index_list` does: places in LCM's grid
        of 50, 0 the noisiest. Raises ValueError for places outside it or not rising.
        """
        timesteps = self.timesteps(steps, strength)
        if t_index:
            if not 0 <= min(t_index) <= max(t_index) < LCM_GRID:
                raise ValueError(f"t_index must lie in 0..{LCM_GRID - 1}, got {list(t_index)}")
            timesteps = at_indices(t_index, len(self.alphas_cumprod))
        made = make_schedule(
            self.alphas_cumprod,
            timesteps,
            self.prediction,
            self.timestep_scaling,
            sampler or self.sampler,
            self.eta,
            self.end_alpha,
        )
        return made if adds_noise else without_noise(made)

    def timesteps(self, steps: int, strength: float) -> tuple[int, ...]:
        """Return the training timesteps, the noisiest first; each falls or stays as `strength` falls."""
        count = len(self.alphas_cumprod)
        if self.table:
            factor = strength / self.listed_at
            return listed(self.table, steps, max(factor, 1.0) if self.translates else factor, count)
        if self.is_trailing:
            return trailing(steps, strength, count)
        return at_indices(lcm_indices(steps, strength), count)

    def painted(self, strength: float) -> float:
        """Return which share of the finished latent is painted, 0 to 1."""
        return min(strength / USUAL_STRENGTH, 1.0) if self.translates else 1.0
