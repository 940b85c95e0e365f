"""A frame in flight. It owns all that decides its picture, so frames of any users mix freely.

Nothing in here refers to another frame: the noise is fixed for a seed, the reference latent is the frame's
own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime.core.frame import Stamp

from .guidance import Guidance
from .prompts import Words
from .schedule import Schedule, Step, renoise, to_x0

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True, eq=False)
class Trajectory:
    """Hold one frame between its first and its last step."""

    stamp: Stamp
    session: str
    schedule: Schedule
    noise_NCHW: Tensor
    """One noise a step, (steps, C, h, w); shared by all frames of a seed and never written to."""
    reference_1CHW: Tensor
    """The frame's own latent, scaled as the UNet wants it."""
    words: Words
    guidance: Guidance
    painted: float = 1.0
    """Share of the finished latent that is painted; the rest is the reference."""
    index: int = 0
    """Number of steps done."""
    latent_1CHW: Tensor = field(init=False)
    """What the next step works on; when finished, the painted latent."""

    def __post_init__(self) -> None:
        if len(self.noise_NCHW) != len(self.schedule):
            raise ValueError(f"{len(self.schedule)} steps need as many noises, got {len(self.noise_NCHW)}")
        self.latent_1CHW = renoise(self.reference_1CHW, self.schedule[0], self.noise_NCHW[:1])

    @property
    def step(self) -> Step:
        """The step that is due."""
        return self.schedule[self.index]

    @property
    def is_finished(self) -> bool:
        return self.index == len(self.schedule)

    def advance(self, output_1CHW: Tensor, prediction: str) -> None:
        """Take the guided output of the due step; the latent becomes that of the next step, or the result."""
        clean = to_x0(output_1CHW, self.latent_1CHW, self.step, prediction)
        self.index += 1
        if not self.is_finished:
            clean = renoise(clean, self.step, self.noise_NCHW[self.index : self.index + 1])
        elif self.painted < 1.0:
            clean = self.reference_1CHW + self.painted * (clean - self.reference_1CHW)
        self.latent_1CHW = clean
