"""Self-attention over all frames in flight of a session (StreamDiffusion, arXiv:2312.12491, section 3.6).

A call of a stream batch holds several pictures of one session, at several noise levels. Here each sees the
keys and values of the others, so that they come to look alike. Rows of other sessions are in the same call
and are masked: their share is exactly nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from pipelines.engines.base import TensorSpec
from pipelines.engines.networks import Plain

from .self_attention import OFF, Layer, Part, attend

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from pipelines.diffusion.kits import Row

NAME = "cross_frame"


class Across(Plain):
    """Let rows see each other by a matrix (b, b), "cross_frame": what is added to row i's scores of row j."""

    name = NAME
    recipe = "keys of all rows, 1"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(NAME, "float32", ("b", "b")),)
    couples_rows = True

    def __init__(self, found: Sequence[Layer]) -> None:
        self._layers = tuple(found)
        self._bias_BB: torch.Tensor | None = None

    def install(self, unet: UNet2DConditionModel) -> None:
        for place, layer in enumerate(self._layers):
            attend(unet, layer).add(self, place)

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        return (-0.5 * (1.0 - torch.eye(rows)),)

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        (self._bias_BB,) = tensors

    def widen(self, place: int, own: Part, parts: list[Part]) -> list[Part]:
        assert self._bias_BB is not None  # a run has entered
        zeros_BN = torch.zeros_like(own.key_BND[:, :, 0])
        bias = (self._bias_BB[:, :, None] + zeros_BN[None]).flatten(1)
        keys, values = (_of_all(side) for side in (own.key_BND, own.value_BND))
        return [Part(keys, values, bias), *parts[1:]]

    def leave(self) -> tuple[torch.Tensor, ...]:
        self._bias_BB = None
        return ()


def _of_all(x_BND: torch.Tensor) -> torch.Tensor:
    """Return the tokens of all rows for each row, (B, B * N, D)."""
    return (x_BND[None] + torch.zeros_like(x_BND[:, :1, :1])[:, None]).flatten(1, 2)


class Allowed:
    """Let each row see the rows of its session that belong to the same side of guidance.

    What it looks for in a frame's extras is a `pipelines.diffusion.cross_frame.Circle`.
    """

    name = NAME

    def before(self, rows: Sequence[Row], named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        bias = [[self._bias(one, other) for other in rows] for one in rows]
        return {NAME: torch.tensor(bias, dtype=torch.float32, device=named["latent"].device)}

    def after(self, rows: Sequence[Row], outputs: Mapping[str, torch.Tensor]) -> None: ...

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        return {NAME: (rows, rows)}

    def close(self) -> None: ...

    def _bias(self, one: Row, other: Row) -> float:
        if one is other:
            return 0.0
        circle, theirs = (row.trajectory.extras.get(NAME) for row in (one, other))
        if circle is None or theirs is None or circle.owner is not theirs.owner:
            return OFF
        return circle.log_weight if one.is_negative == other.is_negative else OFF
