"""An image prompt (IP-Adapter, Ye et al. 2023, arXiv:2308.06721): the UNet attends to a picture's tokens too.

Each attention on words gets a second pair of key and value layers for the tokens of a picture; what it finds
there is added to what the words gave, times a scale that each row brings along. The weights are read in the
layout of the published adapters, `image_proj.*` and `ip_adapter.*` in one safetensors file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from pipelines.engines.base import TensorSpec
from pipelines.engines.networks import Plain
from realtime.core.errors import ModelCorrupt, ModelError

from .reading import VERIFY, digest_of

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

Weights = Mapping[str, torch.Tensor]
PROJECTIONS = {"proj.weight": "plain", "latents": "plus", "proj.3.weight": "full"}
"""What tells the kinds of adapters apart; only "plain" takes one embedding, the others all of a picture's."""

FAMILY = "Use an adapter of the model's own family: Stable Diffusion 1.x or XL."
UNUSUAL = ("spatial_norm", "group_norm", "norm_cross", "norm_q", "norm_k")
"""Parts of an attention that the models of this house do without, and that are not run here."""


class Adapter:
    """Hold the weights of one file, split into its two parts. Raises ModelCorrupt or ModelError."""

    def __init__(self, file: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            held = load_file(str(file))
        except (OSError, SafetensorError) as error:
            raise ModelCorrupt(f"{file.name} cannot be read: {error}.", hint=VERIFY) from error
        self.file = file
        self.projection = _part(held, "image_proj.")
        self.layers = _part(held, "ip_adapter.")
        kinds = [kind for key, kind in PROJECTIONS.items() if key in self.projection]
        if not kinds or not self.layers or any("lora" in key for key in self.layers):
            raise ModelError(
                f"{file.name} is no image prompt adapter of a kind that is supported.",
                hint="Use an IP-Adapter as safetensors: plain, plus or full-face; FaceID is not supported.",
            )
        self.kind = kinds[0]
        self.recipe = digest_of(file, Path(__file__))

    @property
    def is_plain(self) -> bool:
        """Whether one embedding of the picture goes in, rather than those of all its parts."""
        return self.kind == "plain"

    @property
    def takes(self) -> int:
        """Width of the embeddings that go in."""
        name = {"plain": "proj.weight", "plus": "proj_in.weight", "full": "proj.0.weight"}[self.kind]
        return int(self.projection[name].shape[1])

    def projector(self) -> nn.Module:
        """Return the layers that make tokens of a picture's embeddings, (1, ...) to (1, N, D)."""
        from diffusers.loaders.unet import UNet2DConditionLoadersMixin as Mixin

        convert = Mixin._convert_ip_adapter_image_proj_to_diffusers
        try:
            made = convert(None, dict(self.projection), low_cpu_mem_usage=False)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelCorrupt(f"{self.file.name} lacks parts of its projection: {error}.") from error
        projector: nn.Module = made.float().eval().requires_grad_(False)
        return projector


def _part(held: Weights, start: str) -> Weights:
    return {key.removeprefix(start): value.float() for key, value in held.items() if key.startswith(start)}


class ImageTokens(Plain):
    """Let a UNet attend to the tokens of a picture."""

    name = "image_prompt"

    def __init__(self, adapter: Adapter, tokens: int, width: int) -> None:
        self.inputs = (
            TensorSpec("image_tokens", "float32", ("b", tokens, width)),
            TensorSpec("image_scale", "float32", ("b", 1)),
        )
        self.recipe = adapter.recipe
        self._layers = adapter.layers
        self._given: tuple[torch.Tensor, ...] = ()

    def install(self, unet: UNet2DConditionModel) -> None:
        """Put the further layers beside each attention on words. Raises ModelError where they do not fit."""
        names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
        if not names or len(self._layers) != 2 * len(names):
            raise ModelError(
                f"The image prompt's adapter has layers for {len(self._layers) // 2} attentions on words, "
                f"this model has {len(names)}.",
                hint=FAMILY,
            )
        for place, name in enumerate(names):
            attention = unet.get_submodule(name.removesuffix(".processor"))
            key, value = (self._layers.get(f"{2 * place + 1}.to_{kind}_ip.weight") for kind in "kv")
            wanted = (attention.to_k.out_features, self.inputs[0].dims[2])
            if key is None or value is None or tuple(key.shape) != wanted or tuple(value.shape) != wanted:
                raise ModelError(
                    f"The image prompt's adapter does not fit {name}: it wants layers of the shape {wanted}.",
                    hint=FAMILY,
                )
            odd = [part for part in UNUSUAL if getattr(attention, part, None) is not None]
            if odd or attention.residual_connection or attention.rescale_output_factor != 1.0:
                raise ModelError(f"The attention {name} is of a kind that takes no image prompt: {odd}.")
            attention.set_processor(TwoAttentions(key, value, self))
        self._layers = {}

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        _, tokens, width = self.inputs[0].dims
        draw = torch.Generator().manual_seed(2)
        return torch.randn((rows, int(tokens), int(width)), generator=draw), torch.full((rows, 1), 0.7)

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        self._given = tuple(tensors)

    def leave(self) -> tuple[torch.Tensor, ...]:
        self._given = ()
        return ()

    @property
    def given(self) -> tuple[torch.Tensor, ...]:
        """Tokens (B, N, D) and scales (B, 1) of the run that is going on."""
        return self._given


class TwoAttentions(nn.Module):  # type: ignore[misc] # torch is not followed
    """Attend to the words and, with layers of its own, to the picture: a processor of an Attention."""

    def __init__(self, key: torch.Tensor, value: torch.Tensor, source: ImageTokens) -> None:
        super().__init__()
        self.key, self.value = _linear(key), _linear(value)
        self._source = source

    def forward(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        **further: Any,
    ) -> torch.Tensor:
        tokens_BND, scale_B1 = self._source.given
        context_BTD = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = _heads(attn, attn.to_q(hidden_states))
        words = functional.scaled_dot_product_attention(
            query, _heads(attn, attn.to_k(context_BTD)), _heads(attn, attn.to_v(context_BTD))
        )
        picture = functional.scaled_dot_product_attention(
            query, _heads(attn, self.key(tokens_BND)), _heads(attn, self.value(tokens_BND))
        )
        both_BHLD = words + scale_B1[:, :, None, None] * picture
        both_BLC = both_BHLD.transpose(1, 2).flatten(2)
        out: torch.Tensor = attn.to_out[1](attn.to_out[0](both_BLC))
        return out


def _linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def _heads(attn: Any, x_BLC: torch.Tensor) -> torch.Tensor:
    """Split (B, L, C) into (B, heads, L, C / heads)."""
    return x_BLC.unflatten(2, (attn.heads, -1)).transpose(1, 2)
