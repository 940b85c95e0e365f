"""How many rows of the network a frame's step costs, and what is made of them: four kinds of guidance.

Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598) runs the negative prompt at each step. The
residual kind of StreamDiffusion (Kodaira et al. 2023, arXiv:2312.12491, section 3.2) puts an analytic guess
in its place: the noise that would lead from the noised latent x to an *anchor*, `(x - a * anchor) / b`. The
anchor is the frame's own latent ("self", no further row) or what the negative prompt made of the first step
("onetime", one further row a frame). Here that is written on the clean estimates, where no noise is divided
by and no state is carried from frame to frame:

    guided = scale * clean + (1 - scale) * (delta * anchor + (1 - delta) * x / a)

so it is the same line for networks that predict noise, the clean sample or the velocity. Where all is noise
(a = 0) x says nothing of the frame, and the anchor alone is pushed away from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from torch import Tensor

    from .embedding import Embedding, Words
    from .schedule import Step

Mode = Literal["none", "full", "self", "onetime"]
MODES: tuple[str, ...] = get_args(Mode)
LEAST_A = 1e-3
"""Share of the picture below which x / a is nothing but noise, and `delta` has nothing to soften."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """Say whether and how strongly the picture is pushed towards the prompt, away from something."""

    mode: Mode = "none"
    scale: float = 1.0
    """1.0 gives the picture of "none" in each mode."""
    delta: float = 1.0
    """Residual kinds only: how much of the guessed noise is pushed away from; less is softer."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"guidance {self.mode!r} is not one of {', '.join(MODES)}")

    @property
    def acts(self) -> bool:
        """Whether it changes anything; at scale 1 the negative prompt need not be run."""
        return self.mode != "none" and self.scale != 1.0

    def rows(self, words: Words, index: int) -> tuple[Embedding, ...]:
        """Return the embeddings that step `index` is run with, one a row."""
        if self.acts and (self.mode == "full" or (self.mode == "onetime" and index == 0)):
            return (words.prompt, words.negative)
        return (words.prompt,)

    def row_count(self, steps: int) -> int:
        """Return the rows of all steps of a frame together, which is what a tick of a full batch runs."""
        if not self.acts:
            return steps
        return steps * (2 if self.mode == "full" else 1) + (self.mode == "onetime")

    def merge(
        self, cleans: Sequence[Tensor], x: Tensor, step: Step, anchor: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the guided clean estimate of the estimates of `rows`, each (1, C, h, w), and the anchor.

        `anchor` is the frame's own latent for "self", and for "onetime" what the call for the first step
        returned.
        """
        clean = cleans[0]
        if not self.acts:
            return clean, anchor
        if self.mode == "full":
            return cleans[1] + self.scale * (clean - cleans[1]), anchor
        if len(cleans) == 2:
            anchor = cleans[1]
        assert anchor is not None  # "self" is given one, "onetime" made one at its first step
        away = anchor
        if self.delta != 1.0 and step.a >= LEAST_A:
            away = self.delta * anchor + (1.0 - self.delta) / step.a * x
        return away + self.scale * (clean - away), anchor
