"""One call of the encoder and one of the decoder for the pictures of several sessions.

Pictures of one size share a call; sessions of other sizes get one of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .pictures import Pixels
from .stream_batch import Echo
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter


def encoded(painter: Painter, pictures: Sequence[Pixels | None]) -> list[Tensor | None]:
    """Return the latent (1, C, h, w) of each square picture; None for None."""
    latents: list[Tensor | None] = [None] * len(pictures)
    for places in _alike([None if one is None else one.shape for one in pictures]):
        made = painter.encode([one for k in places if (one := pictures[k]) is not None])
        for k, latent_1CHW in zip(places, made.split(1), strict=True):
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
