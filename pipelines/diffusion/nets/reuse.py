"""Two networks of one UNet: the whole one, which also gives out its deep feature, and its outer blocks alone.

The deep feature is what goes into the last `depth` up blocks. It changes little from step to step
(DeepCache, Ma et al. 2023, arXiv:2312.00858) and from one picture to a similar one, and most of the work is
below it. The outer network takes it as an input and runs only the first `depth` down blocks and the last
`depth` up blocks, which share their weights with the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipelines.engines.base import TensorSpec
from pipelines.engines.networks import Plain

from .self_attention import halved

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from pipelines.diffusion.kits import Row

NAME = "reuse"
DEEP = "deep"


def width(unet: UNet2DConditionModel, depth: int) -> int:
    """Return the channels of the deep feature; its side is that of the latents halved `depth` - 1 times."""
    return int(unet.config.block_out_channels[depth])


def deepest(unet: UNet2DConditionModel) -> int:
    """Return the greatest depth at which something is left out; 0 when there is none."""
    downs, ups = ([len(block.resnets) for block in side] for side in (unet.down_blocks, unet.up_blocks))
    regular = all(up == down + 1 for down, up in zip(downs, reversed(ups), strict=True))
    return len(downs) - 1 if regular else 0


class Whole(Plain):
    """Give out the deep feature of a whole run, "deep" (b, c, h', w')."""

    name = NAME

    def __init__(self, unet: UNet2DConditionModel, depth: int) -> None:
        self._depth = depth
        self.recipe = f"whole, depth {depth}, 1"
        self.outputs = (TensorSpec(DEEP, "float32", ("b", width(unet, depth), "hd", "wd")),)
        self._seen: torch.Tensor | None = None

    def install(self, unet: UNet2DConditionModel) -> None:
        unet.up_blocks[-self._depth].register_forward_pre_hook(self._see, with_kwargs=True)

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        return ()

    def _see(self, block: nn.Module, args: Any, named: dict[str, Any]) -> None:
        self._seen = named["hidden_states"]

    def leave(self) -> tuple[torch.Tensor, ...]:
        seen, self._seen = self._seen, None
        assert seen is not None  # the hook's block ran
        return (seen,)


class Outer(Plain):
    """Run the outer blocks only, on a deep feature that is given: input "deep" (b, c, h', w')."""

    name = f"{NAME}-outer"

    def __init__(self, unet: UNet2DConditionModel, depth: int) -> None:
        self._depth = depth
        self.recipe = f"outer, depth {depth}, 1"
        self.inputs = (TensorSpec(DEEP, "float32", ("b", width(unet, depth), "hd", "wd")),)
        self._deep: torch.Tensor | None = None

    def install(self, unet: UNet2DConditionModel) -> None:
        unet.down_blocks = unet.down_blocks[: self._depth]
        unet.down_blocks[-1].downsamplers = None
        unet.mid_block = None
        unet.up_blocks = unet.up_blocks[-self._depth :]

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        (deep,) = self.inputs
        deep_side = halved(side, self._depth - 1)
        shape = (rows, int(deep.dims[1]), deep_side, deep_side)
        return (torch.randn(shape, generator=torch.Generator().manual_seed(1)),)

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        (self._deep,) = tensors

    def on_middle(self, x: torch.Tensor) -> torch.Tensor:
        assert self._deep is not None  # a run has entered
        return self._deep

    def leave(self) -> tuple[torch.Tensor, ...]:
        self._deep = None
        return ()


class Kept:
    """Keep the deep features of whole runs, each where its frame says.

    What it looks for in a frame's extras is a `pipelines.diffusion.reuse.Visit`.
    """

    name = NAME

    def before(self, rows: Sequence[Row], named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        return {}

    def after(self, rows: Sequence[Row], outputs: Mapping[str, torch.Tensor]) -> None:
        for row, deep in zip(rows, outputs[DEEP].split(1), strict=True):
            visit = row.trajectory.extras.get(NAME)
            if visit is not None:
                visit.keep(row, deep)

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        return {}

    def close(self) -> None: ...


class Given:
    """Give the outer network the deep feature that each row's frame names."""

    name = NAME

    def __init__(self, width: int, depth: int) -> None:
        self._width, self._depth = width, depth

    def before(self, rows: Sequence[Row], named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        kept = [row.trajectory.extras[NAME].kept(row).float() for row in rows]
        return {DEEP: torch.cat(kept)}

    def after(self, rows: Sequence[Row], outputs: Mapping[str, torch.Tensor]) -> None: ...

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        deep_side = halved(side, self._depth - 1)
        return {DEEP: (rows, self._width, deep_side, deep_side)}

    def close(self) -> None: ...
