"""A frame in flight. It owns all that decides its picture, so frames of any users mix freely.

Nothing in here refers to another frame: the noise is fixed for a seed, the reference latent is the frame's
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime.core.frame import Stamp

from .embedding import Embedding, Words
from .guidance import Guidance
from .schedule import Schedule, Step, bounded, estimate, first_latent, next_latent, seen_noise

if TYPE_CHECKING:
    from torch import Tensor

    from .kits import Kit


@dataclass(slots=True, eq=False)
class Trajectory:
    """Hold one frame between its first and its last step."""

    stamp: Stamp
    session: str
    schedule: Schedule
    noise_NCHW: Tensor
    """One noise a step, (steps, C, h, w); shared by all frames of a seed and never written to."""
    reference_1CHW: Tensor
    """The frame's own latent, scaled as the network wants it."""
    words: Words
    guidance: Guidance
    painted: float | Tensor = 1.0
    """Share of the finished latent that is painted, the rest is the reference; a number, or one a latent
    cell (1, 1, h, w)."""
    start_1CHW: Tensor | None = None
    """What the first step begins with in place of the reference."""
    kit: Kit | None = None
    """The network that its rows go through, with what is added to it; None is the plain one."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What the kit's add-ons want to know of this frame, by their names."""
    version: int = 0
    """Which settings of its session it was painted with; later ones have a greater number."""
    features: Any = None
    """By which settings, and by which features of its session, it was drafted; these will see it finished."""
    index: int = 0
    """Number of steps done."""
    latent_1CHW: Tensor = field(init=False)
    """What the next step works on; when finished, the painted latent."""
    anchor_1CHW: Tensor | None = field(init=False)
    """What residual guidance pushes away from."""

    def __post_init__(self) -> None:
        if len(self.noise_NCHW) != len(self.schedule):
            raise ValueError(f"{len(self.schedule)} steps need as many noises, got {len(self.noise_NCHW)}")
        start = self.reference_1CHW if self.start_1CHW is None else self.start_1CHW
        self.latent_1CHW = first_latent(start, self.schedule[0], self.noise_NCHW[:1])
        self.anchor_1CHW = self.reference_1CHW

    @property
    def step(self) -> Step:
        """The step that is due."""
        return self.schedule[self.index]

    @property
    def is_finished(self) -> bool:
        return self.index == len(self.schedule)

    def embeddings(self) -> tuple[Embedding, ...]:
        """Return what the rows of the due step are run with; the first is the prompt's."""
        return self.guidance.rows(self.words, self.index)

    def advance(self, outputs: Sequence[Tensor], prediction: str) -> None:
        """Take the outputs of the due step, one of `embeddings` each; go on to the next step or finish."""
        x, step = self.latent_1CHW, self.step
        cleans = [estimate(output, x, step, prediction) for output in outputs]
        raw, self.anchor_1CHW = self.guidance.merge(cleans, x, step, self.anchor_1CHW)
        clean = bounded(raw, x, step)
        self.index += 1
        if self.is_finished:
            self.latent_1CHW = self._mixed(clean)
            return
        coming = self.step
        seen = seen_noise(x, raw, step) if coming.kept else None
        self.latent_1CHW = next_latent(clean, seen, coming, self.noise_NCHW[self.index : self.index + 1])

    def _mixed(self, clean_1CHW: Tensor) -> Tensor:
        if isinstance(self.painted, float) and self.painted == 1.0:
            return clean_1CHW
        return self.reference_1CHW + self.painted * (clean_1CHW - self.reference_1CHW)
