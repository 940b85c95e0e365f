"""Stream Batch (Kodaira et al. 2023, arXiv:2312.12491) as a schedule over frames in flight.

While one frame takes its last step, younger ones take earlier ones in the same call: with n steps a frame's
picture comes out n - 1 ticks after the frame came in, and each tick finishes one. Since a `Trajectory` owns
its state, a tick may gather the rows of any sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from realtime.core.frame import Stamp

from .kits import Row
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor


class Denoiser(Protocol):
    """What a tick needs of a model."""

    prediction: str
    """"epsilon", "sample" or "v_prediction"."""

    def denoise(self, rows: Sequence[Row]) -> Tensor:
        """Run the network on rows of one kit and shape: (B, C, h, w). The next call may overwrite it."""


def advance(model: Denoiser, trajectories: Iterable[Trajectory]) -> None:
    """Take the due step of each trajectory: one call for all rows of the same kit, way and shape.

    When a call fails, the trajectories of its shape are as they were before.
    """
    groups: dict[tuple[object, ...], list[Trajectory]] = {}
    for one in trajectories:
        way = None if one.kit is None else id(one.kit.due(one))
        shape = (way, tuple(one.latent_1CHW.shape), tuple(one.words.prompt.context_1TD.shape))
        groups.setdefault(shape, []).append(one)
    for group in groups.values():
        _advance_alike(model, group)


def _advance_alike(model: Denoiser, group: Sequence[Trajectory]) -> None:
    rows = [Row(one, row, bool(k)) for one in group for k, row in enumerate(one.embeddings())]
    output_BCHW = model.denoise(rows)
    if model.prediction == "sample":  # the clean estimate is the output itself, and a frame may keep it
        output_BCHW = output_BCHW.clone()
    outputs = output_BCHW.split(1) if len(rows) > 1 else (output_BCHW,)
    at = 0
    for one in group:
        count = len(one.embeddings())
        one.advance(outputs[at : at + count], model.prediction)
        at += count


@dataclass(frozen=True, slots=True)
class Echo:
    """Stand for a frame that is not painted: it shows the picture that comes out before it."""

    stamp: Stamp
    note: str
    """Why it was not painted."""


class StreamBatch:
    """Hold one session's frames in flight, oldest first. Frames leave in the order in which they came."""

    def __init__(self) -> None:
        self._in_flight: list[Trajectory | Echo] = []

    def __len__(self) -> int:
        return len(self._in_flight)

    def admit(self, trajectory: Trajectory) -> None:
        """Take a frame in; its first step is in the next tick."""
        self._in_flight.append(trajectory)

    def echo(self, stamp: Stamp, note: str) -> None:
        """Take in a frame that shows the picture of the one before it."""
        self._in_flight.append(Echo(stamp, note))

    def due(self) -> list[Trajectory]:
        """Return the frames that have a step to take."""
        return [one for one in self._in_flight if isinstance(one, Trajectory) and not one.is_finished]

    def take_finished(self) -> list[Trajectory | Echo]:
        """Remove and return what is finished, oldest first.

        A frame that overtook older ones, since `steps` was lowered meanwhile, waits for them: nothing is lost
        and time never runs backwards in what a session sees. An echo leaves right behind what it repeats.
        """
        done = list(takewhile(lambda one: isinstance(one, Echo) or one.is_finished, self._in_flight))
        del self._in_flight[: len(done)]
        return done

    def clear(self) -> None:
        """Forget all frames in flight."""
        self._in_flight.clear()


def tick(model: Denoiser, batches: Sequence[StreamBatch]) -> list[list[Trajectory | Echo]]:
    """Advance every frame in flight of every batch by one step; return what finished, one list a batch.

    A frame that is to be painted in one go takes all its steps.
    """
    advance(model, [one for batch in batches for one in batch.due()])
    while hurried := [one for batch in batches for one in batch.due() if one.in_one_go]:
        advance(model, hurried)
    return [batch.take_finished() for batch in batches]
