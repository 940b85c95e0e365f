"""Stream Batch (Kodaira et al. 2023, arXiv:2312.12491) as a schedule over frames in flight.

While one frame takes its last step, younger ones take earlier ones in the same UNet call: with n steps a
frame's picture comes out n - 1 ticks after the frame came in, and each tick finishes one. Since a
`Trajectory` owns its state, a tick may gather the rows of any sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from .prompts import Embedding
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor


class Denoiser(Protocol):
    """What a tick needs of a model."""

    prediction: str
    """"epsilon", "sample" or "v_prediction"."""

    def time_row(self, embedding: Embedding, t: int) -> Tensor:
        """Return the time (and pooled text) embedding of a row, (1, E)."""

    def denoise(self, latent_BCHW: Tensor, emb_BE: Tensor, context_BTD: Tensor) -> Tensor:
        """Run the UNet: (B, C, h, w). The result may be overwritten by the next call."""


def advance(model: Denoiser, trajectories: Iterable[Trajectory]) -> None:
    """Take the due step of each trajectory: one UNet call for all rows of the same shape.

    When a call fails, the trajectories of its shape are as they were before.
    """
    groups: dict[tuple[object, ...], list[Trajectory]] = {}
    for one in trajectories:
        shape = (tuple(one.latent_1CHW.shape), tuple(one.words.prompt.context_1TD.shape))
        groups.setdefault(shape, []).append(one)
    for group in groups.values():
        _advance_alike(model, group)


def _advance_alike(model: Denoiser, group: Sequence[Trajectory]) -> None:
    gathered = [(one, row) for one in group for row in one.guidance.rows(one.words)]
    outputs = iter(
        model.denoise(
            _stacked([one.latent_1CHW for one, _ in gathered]),
            _stacked([model.time_row(row, one.step.t) for one, row in gathered]),
            _stacked([row.context_1TD for _, row in gathered]),
        ).split(1)
    )
    for one in group:
        mine = [next(outputs) for _ in one.guidance.rows(one.words)]
        one.advance(one.guidance.merge(mine), model.prediction)


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    if len(rows) == 1:
        return rows[0]
    import torch

    return torch.cat(list(rows))


class StreamBatch:
    """Hold one session's frames in flight, oldest first. Frames leave in the order in which they came."""

    def __init__(self) -> None:
        self._in_flight: list[Trajectory] = []

    def __len__(self) -> int:
        return len(self._in_flight)

    def admit(self, trajectory: Trajectory) -> None:
        """Take a frame in; its first step is in the next tick."""
        self._in_flight.append(trajectory)

    def due(self) -> list[Trajectory]:
        """Return the frames that have a step to take."""
        return [one for one in self._in_flight if not one.is_finished]

    def take_finished(self) -> list[Trajectory]:
        """Remove and return the finished frames, oldest first.

        A frame that overtook older ones, since `steps` was lowered meanwhile, waits for them: nothing is lost
        and time never runs backwards in what a session sees.
        """
        finished = list(takewhile(lambda one: one.is_finished, self._in_flight))
        del self._in_flight[: len(finished)]
        return finished

    def clear(self) -> None:
        """Forget all frames in flight."""
        self._in_flight.clear()


def tick(model: Denoiser, batches: Sequence[StreamBatch]) -> list[list[Trajectory]]:
    """Advance every frame in flight of every batch by one step; return what finished, one list a batch."""
    advance(model, [one for batch in batches for one in batch.due()])
    return [batch.take_finished() for batch in batches]
