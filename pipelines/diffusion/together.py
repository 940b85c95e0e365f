"""One call of each network for several sessions: what the painting lane runs.

Pictures of one size share a call of the encoder and the decoder, rows of one kit and size one of the network;
sessions of other sizes get calls of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from realtime.core.stage import Emitted

from .painter import REST
from .pictures import Pixels
from .stream_batch import Echo, tick
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter
    from .stage import PaintStage


def paint_together(pairs: Sequence[tuple[Any, Any]]) -> list[list[Emitted]]:
    """Paint for the stages of one group: their new frames, and one step of every frame in flight.

    One call of the encoder for all new frames of a size, of the network for all rows of a kind, of the
    decoder for all that finished. When a call fails, the frames in flight of these stages are forgotten and
    the error is raised.
    """
    import torch

    stages: list[PaintStage] = [stage for stage, _ in pairs]
    painter = stages[0].painter
    is_done = False
    try:
        with torch.inference_mode():
            fresh = [(stage, frame) for stage, frame in pairs if frame is not None]
            seen = [
                (stage, frame, pixels) for stage, frame in fresh if (pixels := stage.look(frame)) is not None
            ]
            squares = [pixels if stage.needs_latent else None for stage, _, pixels in seen]
            latents, encode_ms = painter.clocked(lambda: encoded(painter, squares))
            for (stage, frame, _), latent_1CHW in zip(seen, latents, strict=True):
                stage.admit(frame, latent_1CHW)
            finished = tick(painter, [stage.batch for stage in stages])
            done = [one for ones in finished for one in ones]
            pictures, decode_ms = painter.clocked(lambda: decoded(painter, done))
            if painter.is_governed and len(pictures) == len(squares) > 0:  # both were of as many
                painter.costs.observe(REST, len(pictures), encode_ms + decode_ms)
        is_done = True
    finally:
        if not is_done:
            for stage in stages:
                stage.reset()
    return [stage.emit(ones, pictures) for stage, ones in zip(stages, finished, strict=True)]


def encoded(painter: Painter, pictures: Sequence[Pixels | None]) -> list[Tensor | None]:
    """Return the latent (1, C, h, w) of each square picture; None for None."""
    latents: list[Tensor | None] = [None] * len(pictures)
    for places in _alike([None if one is None else one.shape for one in pictures]):
        made = painter.encode([one for k in places if (one := pictures[k]) is not None])
        rows = made.split(1) if len(places) > 1 else (made,)
        for k, latent_1CHW in zip(places, rows, strict=True):
            latents[k] = latent_1CHW
    return latents


def decoded(painter: Painter, finished: Sequence[Trajectory | Echo]) -> dict[int, Pixels]:
    """Return the picture of each painted frame, by the frame's `id`."""
    import torch

    painted = [one for one in finished if isinstance(one, Trajectory)]
    pictures: dict[int, Pixels] = {}
    for places in _alike([one.latent_1CHW.shape for one in painted]):
        alike = [painted[k] for k in places]
        rows = alike[0].latent_1CHW if len(alike) == 1 else torch.cat([one.latent_1CHW for one in alike])
        pictures |= {id(one): pixels for one, pixels in zip(alike, painter.decode(rows), strict=True)}
    return pictures


def _alike(shapes: Sequence[object]) -> list[list[int]]:
    """Return the places of equal shapes, in the order of their first; None belongs nowhere."""
    groups: dict[object, list[int]] = {}
    for k, shape in enumerate(shapes):
        if shape is not None:
            groups.setdefault(shape, []).append(k)
    return list(groups.values())
