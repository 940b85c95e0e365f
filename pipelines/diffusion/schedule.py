"""Which noise levels a frame passes through, and the arithmetic of one step. Pure: no state, no model.

The step is that of latent consistency models (Luo et al. 2023, arXiv:2310.04378), with the boundary
condition in its exact form. SD-Turbo and the embedded painter take the same step: at their noise levels
c_skip is 0 and c_out 1 to seven digits. Nothing else passes from one step to the next, so a frame's result
can be checked by running that frame alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from torch import Tensor

Prediction = Literal["epsilon", "sample", "v_prediction"]
PREDICTIONS: tuple[str, ...] = get_args(Prediction)

SIGMA_DATA = 0.5
"""Standard deviation of the data in the consistency boundary condition."""


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one noise level: x_t = a * clean + b * noise, and how the clean estimate is mixed with x_t."""

    t: int
    """Training timestep, 0 to 999; larger is noisier."""
    a: float
    b: float
    c_skip: float
    c_out: float


Schedule = tuple[Step, ...]
"""The steps of one frame, the noisiest first."""


def make_schedule(
    alphas_cumprod: Sequence[float],
    timesteps: Sequence[int],
    prediction: str,
    timestep_scaling: float = 10.0,
) -> Schedule:
    """Compute the coefficients at `timesteps`, which must fall. Raises ValueError if they cannot be used."""
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction type {prediction!r} is not one of {', '.join(PREDICTIONS)}")
    if not timesteps:
        raise ValueError("a schedule needs at least one timestep")
    if any(later >= earlier for earlier, later in pairwise(timesteps)):
        raise ValueError(f"timesteps must fall, got {list(timesteps)}")
    if not 0 <= timesteps[-1] <= timesteps[0] < len(alphas_cumprod):
        raise ValueError(f"timesteps must lie in 0..{len(alphas_cumprod) - 1}, got {list(timesteps)}")
    return tuple(_step(t, float(alphas_cumprod[t]), prediction, timestep_scaling) for t in timesteps)


def _step(t: int, alpha: float, prediction: str, scaling: float) -> Step:
    if prediction == "epsilon" and alpha <= 0.0:
        raise ValueError(f"at timestep {t} all is noise, from which no picture follows")
    scaled = t * scaling
    spread = scaled**2 + SIGMA_DATA**2
    return Step(t, alpha**0.5, (1.0 - alpha) ** 0.5, SIGMA_DATA**2 / spread, scaled / spread**0.5)


def to_x0(output: Tensor, x: Tensor, step: Step, prediction: str) -> Tensor:
    """Return the clean estimate of noised latent `x` from the network's output; all (B, C, h, w)."""
    if prediction == "epsilon":
        clean = (x - step.b * output) / step.a
    elif prediction == "v_prediction":
        clean = step.a * x - step.b * output
    else:
        clean = output
    return step.c_out * clean + step.c_skip * x


def renoise(clean: Tensor, step: Step, noise: Tensor) -> Tensor:
    """Return `clean` at the noise level of `step`; all (B, C, h, w)."""
    return step.a * clean + step.b * noise
