"""Which noise levels a frame passes through, and the arithmetic of one step. Pure: no state, no model.

Every sampler of this house is a list of `Step`: how the clean estimate follows from the network's output, and
how much of the clean estimate, of the noise that was seen and of fresh noise make the next step's latent.
With that, consistency models (Luo et al. 2023, arXiv:2310.04378), TCD and Hyper-SD (Zheng et al. 2024,
arXiv:2402.19159), DDIM and flow matching share one batch. Nothing else passes from one step to the next, so a
frame's result can be checked by running that frame alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from torch import Tensor

Prediction = Literal["epsilon", "sample", "v_prediction"]
PREDICTIONS: tuple[str, ...] = get_args(Prediction)
FLOW = "flow"
"""The prediction noise - clean of flow matching, whose levels have a = 1 - b: those of `angles`."""
Sampler = Literal["lcm", "tcd", "ddim", "ancestral"]
SAMPLERS: tuple[str, ...] = get_args(Sampler)

SIGMA_DATA = 0.5
"""Standard deviation of the data in the consistency boundary condition."""
NO_SKIP = 1e-5
"""Share of x below which the boundary condition is left out, as it is from timestep 16 on: twenty times less
than what pictures are compared with."""


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one noise level, x = a * clean + b * noise, and how x is made from the step before."""

    t: float
    """What the network is told of the level; for Stable Diffusion the training timestep, 0 to 999."""
    a: float
    b: float
    c_skip: float = 0.0
    """Share of x in the clean estimate (consistency models' boundary condition)."""
    c_out: float = 1.0
    kept: float = 0.0
    """Weight of the noise that the step before saw, in this step's latent."""
    fresh: float = 0.0
    """Weight of new noise in this step's latent. The first step of a schedule has kept 0 and fresh b."""
    left: float = 0.0
    """Last step only: weight of the noise that it saw in the finished latent, where a sampler ends at the
    first training timestep and not at the clean picture."""


Schedule = tuple[Step, ...]
"""The steps of one frame, the noisiest first."""


def make_schedule(
    alphas_cumprod: Sequence[float],
    timesteps: Sequence[int],
    prediction: str,
    timestep_scaling: float = 10.0,
    sampler: str = "lcm",
    eta: float = 0.3,
    end_alpha: float = 1.0,
) -> Schedule:
    """Compute the coefficients at `timesteps`, which must fall. Raises ValueError if they cannot be used.

    `sampler`: "lcm" renoises the clean estimate with fresh noise; "ddim" keeps the noise that it saw; "tcd"
    mixes both, `eta` (0 to 1) being the share of the way that is made of fresh noise; "ancestral" is Euler's
    method with as much fresh noise as the reverse process has (Karras et al. 2022, arXiv:2206.00364).
    `end_alpha` is where "ddim" ends; "tcd" ends at the first timestep, the others at the clean picture.
    """
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction type {prediction!r} is not one of {', '.join(PREDICTIONS)}")
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler {sampler!r} is not one of {', '.join(SAMPLERS)}")
    if not timesteps:
        raise ValueError("a schedule needs at least one timestep")
    if any(later >= earlier for earlier, later in pairwise(timesteps)):
        raise ValueError(f"timesteps must fall, got {list(timesteps)}")
    if not 0 <= timesteps[-1] <= timesteps[0] < len(alphas_cumprod):
        raise ValueError(f"timesteps must lie in 0..{len(alphas_cumprod) - 1}, got {list(timesteps)}")
    steps = [_step(t, float(alphas_cumprod[t]), prediction) for t in timesteps]
    if sampler == "lcm":
        return tuple(_bounded(step, timestep_scaling) for step in steps)
    below = [_step(t, float(alphas_cumprod[t]), "sample") for t in (int((1.0 - eta) * s.t) for s in steps)]
    made = linked(steps, below, sampler)
    end_alpha = {"tcd": float(alphas_cumprod[0]), "ddim": end_alpha}.get(sampler, 1.0)
    return (*made[:-1], replace(made[-1], left=(1.0 - end_alpha) ** 0.5))


def linked(steps: Sequence[Step], below: Sequence[Step], sampler: str) -> Schedule:
    """Return noise levels as the steps of a `sampler`, each reached from the one before.

    "tcd" reaches each over the level `below` it without noise, and from there with fresh noise.
    """
    first, *later = steps
    if sampler == "tcd":
        return (first, *(_over(low, step) for low, step in zip(below[1:], later, strict=True)))
    if sampler == "ddim":
        return (first, *(replace(step, kept=step.b, fresh=0.0) for step in later))
    if sampler == "ancestral":
        return (first, *(_ancestral(before, step) for before, step in pairwise(steps)))
    return (first, *later)


def without_noise(schedule: Schedule) -> Schedule:
    """Return the schedule whose later steps add no fresh noise (StreamDiffusion's `do_add_noise=False`).

    Noise that a sampler keeps from step to step stays: "ddim" adds none, and is as before.
    """
    first, *later = schedule
    return (first, *(replace(step, fresh=0.0) for step in later))


def _step(t: int, alpha: float, prediction: str) -> Step:
    if prediction == "epsilon" and alpha <= 0.0:
        raise ValueError(f"at timestep {t} all is noise, from which no picture follows")
    b = (1.0 - alpha) ** 0.5
    return Step(t, alpha**0.5, b, fresh=b)


def _bounded(step: Step, scaling: float) -> Step:
    scaled = step.t * scaling
    spread = scaled**2 + SIGMA_DATA**2
    if SIGMA_DATA**2 / spread < NO_SKIP:
        return step
    return replace(step, c_skip=SIGMA_DATA**2 / spread, c_out=scaled / spread**0.5)


def _over(low: Step, step: Step) -> Step:
    """Return a step reached over the level `low` without noise, and from there with fresh noise."""
    kept = step.a / low.a * low.b
    return replace(step, kept=kept, fresh=max(step.b**2 - kept**2, 0.0) ** 0.5)


def _ancestral(before: Step, step: Step) -> Step:
    """Return a step reached by Euler's method to a lower level, and from there with fresh noise."""
    far = before.b / before.a if before.a > 0 else float("inf")
    near = step.b / step.a
    share = 1.0 - (near / far) ** 2
    return replace(step, kept=step.b * (near / far), fresh=step.b * share**0.5)


def estimate(output: Tensor, x: Tensor, step: Step, prediction: str) -> Tensor:
    """Return the clean latent that the network's output means at noised latent `x`; all (B, C, h, w)."""
    if prediction == FLOW:
        return x - step.b * output
    if prediction == "epsilon":
        return (x - step.b * output) / step.a
    if prediction == "v_prediction":
        return step.a * x - step.b * output
    return output


def bounded(clean: Tensor, x: Tensor, step: Step) -> Tensor:
    """Return the clean estimate with the boundary condition of consistency models."""
    if step.c_skip == 0.0 and step.c_out == 1.0:
        return clean
    return step.c_out * clean + step.c_skip * x


def to_x0(output: Tensor, x: Tensor, step: Step, prediction: str) -> Tensor:
    """Return the clean estimate of noised latent `x` from the network's output; all (B, C, h, w)."""
    return bounded(estimate(output, x, step, prediction), x, step)


def first_latent(clean: Tensor, step: Step, noise: Tensor) -> Tensor:
    """Return `clean` at the noise level of `step`; all (B, C, h, w)."""
    return (step.a * clean).add_(noise, alpha=step.b)


def next_latent(clean: Tensor, seen: Tensor | None, step: Step, noise: Tensor) -> Tensor:
    """Return the latent of `step` from the step before: its clean estimate and the noise that it `seen`."""
    x = step.a * clean
    if step.fresh:
        x = x + step.fresh * noise
    if step.kept and seen is not None:
        x = x + step.kept * seen
    return x


def finished(clean: Tensor, seen: Tensor, step: Step) -> Tensor:
    """Return what is left after the last step, of its clean estimate and the noise that it saw."""
    return (1.0 - step.left**2) ** 0.5 * clean + step.left * seen


def seen_noise(x: Tensor, clean: Tensor, step: Step) -> Tensor:
    """Return the noise that makes `x` of `clean` at `step`."""
    return (x - step.a * clean) / step.b
