"""A bank of keys and values for the UNet's self-attentions, as further inputs; the row's own as outputs.

The idea of a bank of past features is StreamV2V's (Liang et al. 2024, arXiv:2405.15757). Only the layers of
the middle and of the way up have one: they carry the looks (Cao et al. 2023, arXiv:2304.08465), and it halves
what a session must remember.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from pipelines.engines.base import TensorSpec
from pipelines.engines.networks import Plain

from .self_attention import OFF, Layer, Part, attend, layers

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from pipelines.diffusion.kits import Row

NAME = "memory"
BIAS = f"{NAME}_bias"
PARTS = ("mid", "up")


def banked(unet: UNet2DConditionModel) -> tuple[Layer, ...]:
    """Return the layers that have a bank."""
    return layers(unet, PARTS)


class Bank(Plain):
    """Widen self-attentions by a bank of one picture's size, (b, n, d) keys and values a layer.

    "memory_bias" (b, 1) is added to the scores of a row's bank: the logarithm of its strength.
    """

    name = NAME
    recipe = f"own and banked keys in {', '.join(PARTS)}, 1"

    def __init__(self, found: Sequence[Layer]) -> None:
        self.layers = tuple(found)
        sides = [(kind, i, layer.width) for i, layer in enumerate(self.layers) for kind in "kv"]
        self.inputs = (
            TensorSpec(BIAS, "float32", ("b", 1)),
            *(TensorSpec(f"{NAME}_{kind}{i}", "float32", ("b", f"n{i}", d)) for kind, i, d in sides),
        )
        self.outputs = tuple(
            TensorSpec(f"{NAME}_new_{kind}{i}", "float32", ("b", f"n{i}", d)) for kind, i, d in sides
        )
        self._given: tuple[torch.Tensor, ...] = ()
        self._made: dict[int, Part] = {}

    def install(self, unet: UNet2DConditionModel) -> None:
        for place, layer in enumerate(self.layers):
            attend(unet, layer).add(self, place)

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        draw = torch.Generator().manual_seed(1)
        shapes = [(rows, layer.tokens(side, side), layer.width) for layer in self.layers for _ in "kv"]
        return (torch.full((rows, 1), -0.5), *(torch.randn(shape, generator=draw) for shape in shapes))

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        self._given = tuple(tensors)

    def widen(self, place: int, own: Part, parts: list[Part]) -> list[Part]:
        self._made[place] = own
        bias_B1, key, value = self._given[0], self._given[1 + 2 * place], self._given[2 + 2 * place]
        return [*parts, Part(key, value, bias_B1.expand_as(key[:, :, 0]))]

    def leave(self) -> tuple[torch.Tensor, ...]:
        made, self._made, self._given = self._made, {}, ()
        return tuple(
            side for place in range(len(self.layers)) for side in (made[place].key_BND, made[place].value_BND)
        )


class Remembered:
    """Feed each row the bank of its session, and give the row's own keys and values back to it.

    What it looks for in a frame's extras is a `pipelines.diffusion.memory.Visit`.
    """

    name = NAME

    def __init__(self, found: Sequence[Layer]) -> None:
        self._layers = tuple(found)

    def before(self, rows: Sequence[Row], named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        latent = named["latent"]
        inputs = {
            name: torch.zeros(shape, device=latent.device)
            for name, shape in self._shapes(len(rows), *latent.shape[-2:]).items()
        }
        inputs[BIAS].fill_(OFF)
        for at, row in enumerate(rows):
            visit = row.trajectory.extras.get(NAME)
            held = (
                None
                if visit is None
                else visit.held(
                    row, [tuple(inputs[f"{NAME}_k{i}"].shape[1:]) for i in range(len(self._layers))]
                )
            )
            if visit is None or held is None:
                continue
            inputs[BIAS][at] = visit.log_weight
            for i, (key, value) in enumerate(held):
                inputs[f"{NAME}_k{i}"][at] = key
                inputs[f"{NAME}_v{i}"][at] = value
        return inputs

    def after(self, rows: Sequence[Row], outputs: Mapping[str, torch.Tensor]) -> None:
        for at, row in enumerate(rows):
            visit = row.trajectory.extras.get(NAME)
            if visit is not None and visit.updates:
                visit.take(
                    row,
                    [
                        (outputs[f"{NAME}_new_k{i}"][at], outputs[f"{NAME}_new_v{i}"][at])
                        for i in range(len(self._layers))
                    ],
                )

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        return self._shapes(rows, side, side)

    def close(self) -> None: ...

    def _shapes(self, rows: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {BIAS: (rows, 1)}
        for i, layer in enumerate(self._layers):
            for kind in "kv":
                shapes[f"{NAME}_{kind}{i}"] = (rows, layer.tokens(height, width), layer.width)
        return shapes
