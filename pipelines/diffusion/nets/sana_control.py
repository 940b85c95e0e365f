"""SANA's control net as two parts: a network of its own, and what the transformer takes in of it.

As for UNets (Zhang et al. 2023, arXiv:2302.05543), but SANA's net is shown the hint's latent, and gives a
residual for the second block and those after it. Residuals are maps (b, D, h, w), a cell a token, so several
nets are added up, each row with its own scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from pipelines.diffusion.kits import Engine, Row
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.networks import Plain

from .sana import MASKED

NAME = "sana_control"
KEPT_TIMES = 256


@dataclass(slots=True)
class Hint:
    """Hold what a frame shows to a net; a trajectory's `extras` have a list of them as "sana_control"."""

    model: str
    scale: float
    picture: Any
    """(H, W, 3) uint8, of the painted picture's size."""
    begin: float = 0.0
    """Share of the frame's steps after which it begins to act."""
    end: float = 1.0
    latent_1CHW: torch.Tensor | None = None
    """What the autoencoder makes of it; filled at its first step."""

    def scale_at(self, index: int, steps: int) -> float:
        """Return how strongly it acts in step `index` of `steps`; 0 outside its share, as in diffusers."""
        acts = index / steps >= self.begin and (index + 1) / steps <= self.end
        return self.scale if acts else 0.0


class SanaControlNet(nn.Module):  # type: ignore[misc] # torch is not followed
    """Run a control net on a latent_BCHW, an emb_BE of its own time embedding, a context_BTD with its mask_BT
    and a hint_BCHW, the hint's latent; give a residual (B, D, h, w) a block.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        latent_BCHW: torch.Tensor,
        emb_BE: torch.Tensor,
        context_BTD: torch.Tensor,
        mask_BT: torch.Tensor,
        hint_BCHW: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        net = self.net
        patch = net.config.patch_size
        high, wide = latent_BCHW.shape[2] // patch, latent_BCHW.shape[3] // patch
        x_BND = net.patch_embed(latent_BCHW) + net.input_block(net.patch_embed(hint_BCHW))
        text_BTD = net.caption_norm(net.caption_projection(context_BTD))
        bias_B1T = ((1.0 - mask_BT) * MASKED).unsqueeze(1)
        residuals = []
        for block, out in zip(net.transformer_blocks, net.controlnet_blocks, strict=True):
            x_BND = block(x_BND, None, text_BTD, bias_B1T, emb_BE, high, wide)
            residuals.append(out(x_BND).transpose(1, 2).unflatten(2, (high, wide)))
        return tuple(residuals)


def residual_specs(net: Any) -> tuple[TensorSpec, ...]:
    """Describe the residuals of a control net, in order."""
    width = int(net.config.num_attention_heads * net.config.attention_head_dim)
    count = len(net.controlnet_blocks)
    patch = int(net.config.patch_size)
    sides = ("h", "w") if patch == 1 else (f"h/{patch}", f"w/{patch}")
    return tuple(TensorSpec(f"{NAME}_{k}", "float32", ("b", width, *sides)) for k in range(count))


def sana_control_network(net: Any, digest: str) -> Network:
    """Return the control net as a `Network`."""
    channels = int(net.config.in_channels)
    width = int(net.config.num_attention_heads * net.config.attention_head_dim)
    inputs = (
        TensorSpec("latent", "float32", ("b", channels, "h", "w")),
        TensorSpec("emb", "float32", ("b", 6 * width)),
        TensorSpec("context", "float32", ("b", "t", int(net.config.caption_channels))),
        TensorSpec("mask", "float32", ("b", "t")),
        TensorSpec("hint", "float32", ("b", channels, "h", "w")),
    )
    module = SanaControlNet(net).eval().requires_grad_(False)
    return Network(NAME, module, inputs, residual_specs(net), digest)


def time_of(net: Any, s: float) -> torch.Tensor:
    """Return what the net's blocks are told of time, (1, 6 * D)."""
    dtype = next(net.parameters()).dtype
    with torch.no_grad():
        found: torch.Tensor = net.time_embed(torch.tensor([s]), batch_size=1, hidden_dtype=dtype)[0]
    return found.float()


class SanaControlInputs(Plain):
    """Let the transformer take residuals in: the first behind its second block, and so on."""

    name = NAME
    backbones = ("sana",)

    def __init__(self, net: Any) -> None:
        self.inputs = residual_specs(net)
        self.recipe = f"{len(self.inputs)} residuals"
        self._now: tuple[torch.Tensor, ...] = ()

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        draw = torch.Generator().manual_seed(0)
        shapes = [(rows, int(spec.dims[1]), side, side) for spec in self.inputs]
        return tuple(0.1 * torch.randn(shape, generator=draw) for shape in shapes)

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        self._now = tuple(tensors)

    def on_block(self, place: int, x_BND: torch.Tensor) -> torch.Tensor:
        """Return what comes out of block `place`."""
        if not 0 < place <= len(self._now):
            return x_BND
        return x_BND + self._now[place - 1].flatten(2).transpose(1, 2)

    def leave(self) -> tuple[torch.Tensor, ...]:
        self._now = ()
        return ()


class SanaControlRows:
    """Run each net for the rows that show it something, and add up what they give, times each row's scale."""

    name = NAME

    def __init__(
        self,
        nets: Mapping[str, tuple[Any, Engine]],
        encode: Callable[[Sequence[Any]], torch.Tensor],
        tokens: int,
    ) -> None:
        """`nets` are modules and what runs them, by model; `encode` is the painter's."""
        self._nets = dict(nets)
        self._tokens = tokens
        self._encode = encode
        self._specs = residual_specs(next(iter(nets.values()))[0])
        self._time = lru_cache(KEPT_TIMES)(lambda model, s: time_of(self._nets[model][0], s))

    def before(self, rows: Sequence[Row], named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        latent = named["latent"]
        sums = {
            name: torch.zeros(shape, device=latent.device)
            for name, shape in self._residuals(len(rows), latent.shape[-1]).items()
        }
        for model, (_, engine) in self._nets.items():
            shown = [(k, hint, scale) for k, row in enumerate(rows) for hint, scale in _shown(row, model)]
            if not shown:
                continue
            places = torch.tensor([k for k, _, _ in shown], device=latent.device)
            given = engine.run(
                latent=latent[places],
                emb=torch.cat([self._time(model, rows[k].trajectory.step.t) for k, _, _ in shown]),
                context=named["context"][places],
                mask=named["mask"][places],
                hint=torch.cat([self._latent(hint) for _, hint, _ in shown]),
            )
            scales = torch.tensor([scale for _, _, scale in shown], device=latent.device)
            for name, total in sums.items():
                total.index_add_(0, places, given[name].to(total) * scales[:, None, None, None])
        return sums

    def after(self, rows: Sequence[Row], outputs: Mapping[str, torch.Tensor]) -> None: ...

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of the residuals. Asked as a kit is made ready, so the nets' engines are too."""
        for net, engine in self._nets.values():
            sizes = {"b": rows, "t": self._tokens, "h": side, "w": side}
            engine.warm(
                {
                    spec.name: tuple(sizes[dim] if isinstance(dim, str) else dim for dim in spec.dims)
                    for spec in sana_control_network(net, "").inputs
                }
            )
        return self._residuals(rows, side)

    def _residuals(self, rows: int, side: int) -> dict[str, tuple[int, ...]]:
        patch = int(next(iter(self._nets.values()))[0].config.patch_size)
        cells = side // patch
        return {spec.name: (rows, int(spec.dims[1]), cells, cells) for spec in self._specs}

    def close(self) -> None:
        for _, engine in self._nets.values():
            engine.close()

    def _latent(self, hint: Hint) -> torch.Tensor:
        if hint.latent_1CHW is None:
            hint.latent_1CHW = self._encode([hint.picture]).clone()
        return hint.latent_1CHW


def _shown(row: Row, model: str) -> list[tuple[Hint, float]]:
    """Return the hints that a row shows to a net, with the scale at its step; those at 0 are left out."""
    one = row.trajectory
    scales = [
        (hint, hint.scale_at(one.index, len(one.schedule)))
        for hint in one.extras.get(NAME, ())
        if hint.model == model
    ]
    return [(hint, scale) for hint, scale in scales if scale]
