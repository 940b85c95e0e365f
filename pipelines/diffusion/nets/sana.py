"""SANA's transformer as a network of this house: tensors in, the flow out, no decisions inside.

What depends on noise level and guidance alone (`modulation`) is computed outside of the engine in float32, as
for UNets: sinusoids of a small time lose their digits under a bf16 hint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.networks import Extension, sharing_copy

MASKED = -10_000.0
"""What attention adds where a token is none."""


def modulation(transformer: Any, s: float, guidance: float) -> torch.Tensor:
    """Return all that the blocks are told of time and guidance, (1, 7 * D): six tables, then their source."""
    scaled = torch.tensor([guidance], dtype=torch.float32) * transformer.config.guidance_embeds_scale
    dtype = next(transformer.parameters()).dtype
    with torch.no_grad():
        tables_16D, source_1D = transformer.time_embed(
            torch.tensor([s], dtype=torch.float32), guidance=scaled, hidden_dtype=dtype
        )
    return torch.cat([tables_16D, source_1D], dim=1).float()


class SanaNet(nn.Module):  # type: ignore[misc] # torch is not followed
    """Run the blocks on a latent_BCHW, an emb_BE of `modulation`, a context_BTD of text and its mask_BT."""

    def __init__(self, transformer: Any, extensions: Sequence[Extension] = ()) -> None:
        super().__init__()
        self.transformer = sharing_copy(transformer) if extensions else transformer
        self.extensions = tuple(extensions)
        for extension in extensions:
            extension.install(self.transformer)

    def forward(
        self,
        latent_BCHW: torch.Tensor,
        emb_BE: torch.Tensor,
        context_BTD: torch.Tensor,
        mask_BT: torch.Tensor,
        *further: torch.Tensor,
    ) -> Any:
        net = self.transformer
        at = 0
        for extension in self.extensions:
            extension.enter(further[at : at + len(extension.inputs)])
            at += len(extension.inputs)
        patch = net.config.patch_size
        rows, high, wide = latent_BCHW.shape[0], latent_BCHW.shape[2] // patch, latent_BCHW.shape[3] // patch
        source_at = emb_BE.shape[1] // 7 * 6
        tables_B6D, source_BD = emb_BE[:, :source_at], emb_BE[:, source_at:]
        x_BND = net.patch_embed(latent_BCHW)
        text_BTD = net.caption_norm(net.caption_projection(context_BTD))
        bias_B1T = ((1.0 - mask_BT) * MASKED).unsqueeze(1)
        for i, block in enumerate(net.transformer_blocks):
            x_BND = block(x_BND, None, text_BTD, bias_B1T, tables_B6D, high, wide)
            for extension in self.extensions:
                x_BND = extension.on_block(i, x_BND) if hasattr(extension, "on_block") else x_BND
        x_BND = net.proj_out(net.norm_out(x_BND, source_BD, net.scale_shift_table))
        out: torch.Tensor = (
            x_BND.reshape(rows, high, wide, patch, patch, -1)
            .permute(0, 5, 1, 3, 2, 4)
            .reshape(rows, -1, high * patch, wide * patch)
        )
        outputs = [tensor for extension in self.extensions for tensor in extension.leave()]
        return (out, *outputs) if outputs else out


def sana_network(transformer: Any, digest: str, extensions: Sequence[Extension] = ()) -> Network:
    """Return the transformer as a `Network`: "latent", "emb", "context" and "mask" to "out"."""
    config = transformer.config
    width = config.num_attention_heads * config.attention_head_dim
    inputs: tuple[TensorSpec, ...] = (
        TensorSpec("latent", "float32", ("b", int(config.in_channels), "h", "w")),
        TensorSpec("emb", "float32", ("b", 7 * width)),
        TensorSpec("context", "float32", ("b", "t", int(config.caption_channels))),
        TensorSpec("mask", "float32", ("b", "t")),
    )
    inputs += tuple(spec for extension in extensions for spec in extension.inputs)
    out = TensorSpec("out", "float32", ("b", int(config.out_channels), "h", "w"))
    outputs = (out, *(spec for extension in extensions for spec in extension.outputs))
    name = "+".join(["sana", *(extension.name for extension in extensions)])
    coupled = any(extension.couples_rows for extension in extensions)
    module = SanaNet(transformer, extensions).eval().requires_grad_(False)
    return Network(name, module, inputs, outputs, digest, coupled)
