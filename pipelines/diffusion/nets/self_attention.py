"""Self-attention that sees more than its own picture: further keys and values, each with a live weight.

Attention is a weighted mean over keys. More keys, of other pictures, let a picture take its looks from them
(Cao et al. 2023, arXiv:2304.08465; Kodaira et al. 2023, arXiv:2312.12491). A weight s on them is the number
log s added to their scores; `OFF` is so low that their share is exactly nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

OFF = -1e4
"""Added to a score, it leaves no share: exp(-1e4) is 0 in every number format. Infinity would make NaNs."""


def log_weight(strength: float) -> float:
    """Return what is added to the scores of keys that count `strength` (0 to 1) times."""
    return max(math.log(strength), OFF) if strength > 0.0 else OFF


class Part(NamedTuple):
    """Hold some of the keys that a row sees."""

    key_BND: torch.Tensor
    value_BND: torch.Tensor
    bias_BN: torch.Tensor | None
    """Added to the scores; None is nothing."""


class Source(Protocol):
    """Say what a self-attention sees."""

    def widen(self, place: int, own: Part, parts: list[Part]) -> list[Part]:
        """Return what the layer in `place` of this source sees. `parts` is so far, the first is its own."""


class Attend:
    """Attend as diffusers does, over what the sources give. Installed in the place of a layer's processor."""

    def __init__(self) -> None:
        self._sources: list[tuple[Source, int]] = []

    def add(self, source: Source, place: int) -> None:
        """Let a source speak, after those that are there."""
        self._sources.append((source, place))

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> torch.Tensor:
        x_BND = hidden_states
        own = Part(attn.to_k(x_BND), attn.to_v(x_BND), None)
        parts = [own]
        for source, place in self._sources:
            parts = source.widen(place, own, parts)
        query = _heads(attn.to_q(x_BND), attn.heads)
        key = _heads(torch.cat([part.key_BND for part in parts], dim=1), attn.heads)
        value = _heads(torch.cat([part.value_BND for part in parts], dim=1), attn.heads)
        bias_BN = torch.cat([_bias(part) for part in parts], dim=1)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias_BN[:, None, None, :])
        out: torch.Tensor = attn.to_out[0](seen.transpose(1, 2).flatten(2))
        return attn.to_out[1](out) / attn.rescale_output_factor


def _heads(x_BND: torch.Tensor, heads: int) -> torch.Tensor:
    return x_BND.unflatten(2, (heads, -1)).transpose(1, 2)


def _bias(part: Part) -> torch.Tensor:
    return torch.zeros_like(part.key_BND[:, :, 0]) if part.bias_BN is None else part.bias_BN


@dataclass(frozen=True, slots=True)
class Layer:
    """Name a self-attention of a UNet."""

    name: str
    """Path of the module in the UNet."""
    width: int
    """D of its keys and values."""
    level: int
    """How often its latents were halved."""

    def tokens(self, height: int, width: int) -> int:
        """Return how many keys it has for latents of this size."""
        return halved(height, self.level) * halved(width, self.level)


def halved(side: int, times: int) -> int:
    """Return the side after so many convolutions of stride 2."""
    for _ in range(times):
        side = -(-side // 2)
    return side


def layers(unet: UNet2DConditionModel, parts: Sequence[str] = ("down", "mid", "up")) -> tuple[Layer, ...]:
    """Return the self-attentions of these parts of a UNet; none for one that has only convolutions."""
    from diffusers.models.attention import BasicTransformerBlock

    depth = len(unet.down_blocks) - 1
    found = []
    for name, module in unet.named_modules():
        part, _, rest = name.partition("_block")
        if part not in parts or not isinstance(module, BasicTransformerBlock) or not _is_plain(module):
            continue
        block = int(rest.split(".")[1]) if part != "mid" else 0
        level = {"down": block, "mid": depth, "up": depth - block}[part]
        found.append(Layer(f"{name}.attn1", int(module.attn1.to_k.out_features), level))
    return tuple(found)


def _is_plain(block: Any) -> bool:
    attn = block.attn1
    odd = (attn.group_norm, attn.spatial_norm, attn.norm_q, attn.norm_k)
    return not block.only_cross_attention and all(one is None for one in odd)


def attend(unet: UNet2DConditionModel, layer: Layer) -> Attend:
    """Return the processor of a layer, put in place if it is not there yet."""
    attn = unet.get_submodule(layer.name)
    if not isinstance(attn.processor, Attend):
        attn.set_processor(Attend())
    found: Attend = attn.processor
    return found
