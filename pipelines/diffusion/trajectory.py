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
from .schedule import Schedule, Step, bounded, estimate, finished, first_latent, next_latent, seen_noise

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
    """Share of the finished latent that is painted, the rest is what is kept; a number, or one a latent cell
    (1, 1, h, w)."""
    start_1CHW: Tensor | None = None
    """What the first step begins with in place of the reference."""
    cells_11HW: Tensor | None = None
    """Which share of its strength each latent cell is painted with, 0 to 1; None is all of it everywhere."""
    holds_cells: bool = True
    """Whether cells that have not joined are the reference at each step, or are mixed with it in the end."""
    kit: Kit | None = None
    """The network that its rows go through, with what is added to it; None is the plain one."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What the kit's add-ons want to know of this frame, by their names."""
    kept_1CHW: Tensor | None = None
    """What stands where it is not painted; None is the reference."""
    version: int = 0
    """Which settings of its session it was painted with; later ones have a greater number."""
    in_one_go: bool = False
    """Whether it takes all its steps in the tick in which it came in."""
    features: Any = None
    """By which settings, and by which features of its session, it was drafted; these will see it finished."""
    index: int = 0
    """Number of steps done."""
    latent_1CHW: Tensor = field(init=False)
    """What the next step works on; when finished, the painted latent."""
    anchor_1CHW: Tensor | None = field(init=False)
    """What residual guidance pushes away from."""

    def __post_init__(self) -> None:
        if self.noise_NCHW.shape[0] != len(self.schedule):
            raise ValueError(f"{len(self.schedule)} steps need as many noises, got {len(self.noise_NCHW)}")
        start = self.reference_1CHW if self.start_1CHW is None else self.start_1CHW
        self.latent_1CHW = first_latent(start, self.schedule[0], self._noise())
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
            if step.left:
                clean = finished(clean, seen_noise(x, raw, step), step)
            self.latent_1CHW = self._mixed(clean)
            return
        if self.cells_11HW is not None and self.holds_cells:
            cells_11HW = joined(self.cells_11HW, self.schedule[0], step)
            raw, clean = (mixed(self.reference_1CHW, one, cells_11HW) for one in (raw, clean))
        coming = self.step
        seen = seen_noise(x, raw, step) if coming.kept else None
        self.latent_1CHW = next_latent(clean, seen, coming, self._noise())

    def _noise(self) -> Tensor:
        """Return the noise of the due step, (1, C, h, w)."""
        if len(self.schedule) == 1:
            return self.noise_NCHW
        return self.noise_NCHW[self.index : self.index + 1]

    def _mixed(self, clean_1CHW: Tensor) -> Tensor:
        """Return the finished latent with what is kept: of an earlier picture, then of the frame itself."""
        if not (isinstance(self.painted, float) and self.painted == 1.0):
            kept_1CHW = self.reference_1CHW if self.kept_1CHW is None else self.kept_1CHW
            clean_1CHW = mixed(kept_1CHW, clean_1CHW, self.painted)
        if self.cells_11HW is None:
            return clean_1CHW
        cells_11HW = self.cells_11HW
        if self.holds_cells:
            cells_11HW = reached(cells_11HW, self.schedule[0], self.schedule[-1])
        return mixed(self.reference_1CHW, clean_1CHW, cells_11HW)


def mixed(kept: Tensor, clean: Tensor, share: float | Tensor) -> Tensor:
    """Return the point at `share` of the way from `kept` to `clean`."""
    return kept + share * (clean - kept)


def joined(cells_11HW: Tensor, first: Step, step: Step) -> Tensor:
    """Return which cells are painted at `step`, 1 or 0; the others are the reference at the step's noise.

    Blended latent diffusion (Avrahami et al. 2023, arXiv:2206.02779) with a strength for each cell, as in
    differential diffusion (Levin and Fried 2023, arXiv:2306.00950): a cell of strength s joins at the first
    step whose level is at most s times the first one's.
    """
    return (cells_11HW * first.t >= step.t).to(cells_11HW.dtype)


def reached(cells_11HW: Tensor, first: Step, last: Step) -> Tensor:
    """Return which share of each finished cell is painted: all of those that have joined.

    The others are mixed by how near they came to it, so that also one step has a soft edge.
    """
    return (cells_11HW * first.t / max(last.t, 1e-6)).clamp(max=1.0)
