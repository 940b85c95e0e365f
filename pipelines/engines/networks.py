"""The denoiser of a painter as a plain torch module: tensors in, one tensor out, no decisions inside.

A UNet of diffusers computes its time embedding from an integer timestep. Under a bf16 hint OpenVINO rounds
that integer (979 becomes 980) and the error of the whole network grows fivefold; so the sinusoid, and with it
all that depends only on timestep and prompt, is computed here in float32, outside of the engine, by
`time_embedding`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from realtime.core.errors import ModelError

from .base import Network, TensorSpec

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

ADDITIONS = (None, "text", "text_time")


class Extension(Protocol):
    """Change a UNet by further inputs and outputs: a control net's residuals, an image prompt, a key bank.

    `install` is called once, on a copy that shares the weights; the others at each run, in this order. What
    is given in `enter` is kept by the extension until `leave`, for the layers that it installed.
    """

    name: str
    """Short; part of the network's name."""
    recipe: str
    """All that would make a kept engine wrong besides the UNet: settings, digests of further weights."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    couples_rows: bool
    """Whether a row sees the other rows of its call."""

    def install(self, unet: UNet2DConditionModel) -> None:
        """Put layers or attention processors in place."""

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        """Return inputs of about the usual size for latents `side` cells high and wide."""

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        """Take the inputs of this run, in the order of `inputs`."""

    def on_skips(self, skips: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Return what the up blocks get of the down blocks."""

    def on_middle(self, x: torch.Tensor) -> torch.Tensor:
        """Return what goes from the middle to the up blocks."""

    def leave(self) -> tuple[torch.Tensor, ...]:
        """Return the outputs of this run, in the order of `outputs`, and let all tensors go."""


class Plain:
    """Change nothing: what an extension need not say about itself."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    couples_rows = False

    def install(self, unet: UNet2DConditionModel) -> None: ...

    def enter(self, tensors: Sequence[torch.Tensor]) -> None: ...

    def on_skips(self, skips: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return skips

    def on_middle(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def leave(self) -> tuple[torch.Tensor, ...]:
        return ()


class UNetNet(nn.Module):  # type: ignore[misc] # torch is not followed
    """Run the blocks of a UNet on a latent_BCHW, an emb_BE of `time_embedding`, and a context_BTD of text.

    Further inputs and outputs are those of `extensions`, in their order.
    """

    def __init__(self, unet: UNet2DConditionModel, extensions: Sequence[Extension] = ()) -> None:
        super().__init__()
        check_unet(unet)
        self.unet = sharing_copy(unet) if extensions else unet
        self.extensions = tuple(extensions)
        for extension in extensions:
            extension.install(self.unet)

    def forward(
        self,
        latent_BCHW: torch.Tensor,
        emb_BE: torch.Tensor,
        context_BTD: torch.Tensor,
        *further: torch.Tensor,
    ) -> Any:
        unet = self.unet
        at = 0
        for extension in self.extensions:
            extension.enter(further[at : at + len(extension.inputs)])
            at += len(extension.inputs)
        x = 2.0 * latent_BCHW - 1.0 if unet.config.center_input_sample else latent_BCHW
        x = unet.conv_in(x)
        skips: tuple[torch.Tensor, ...] = (x,)
        for block in unet.down_blocks:
            x, more = block(hidden_states=x, temb=emb_BE, **_text(block, context_BTD))
            skips += more
        if unet.mid_block is not None:
            x = unet.mid_block(x, emb_BE, **_text(unet.mid_block, context_BTD))
        for extension in self.extensions:
            skips, x = extension.on_skips(skips), extension.on_middle(x)
        for block in unet.up_blocks:
            count = len(block.resnets)
            skips, own = skips[:-count], skips[-count:]
            x = block(hidden_states=x, temb=emb_BE, res_hidden_states_tuple=own, **_text(block, context_BTD))
        if unet.conv_norm_out is not None:
            x = unet.conv_act(unet.conv_norm_out(x))
        out: torch.Tensor = unet.conv_out(x)
        outputs = [tensor for extension in self.extensions for tensor in extension.leave()]
        return (out, *outputs) if outputs else out


def sharing_copy(module: Any) -> Any:
    """Return a copy of a torch module that shares its weights: layers can be exchanged in it."""
    held = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in held})


def _text(block: nn.Module, context_BTD: torch.Tensor) -> dict[str, Any]:
    return {"encoder_hidden_states": context_BTD} if getattr(block, "has_cross_attention", False) else {}


def uses_context(unet: UNet2DConditionModel) -> bool:
    """Tell whether the text enters through attention too, and not only through the time embedding."""
    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    return any(getattr(block, "has_cross_attention", False) for block in blocks)


def check_unet(unet: UNet2DConditionModel) -> None:
    """Raise ModelError for a UNet with inputs that this house does not feed."""
    config = unet.config
    odd = [
        f"{name} = {config[name]!r}"
        for name in ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type")
        if config.get(name) is not None
    ]
    if config.addition_embed_type not in ADDITIONS:
        odd.append(f"addition_embed_type = {config.addition_embed_type!r}")
    if odd:
        raise ModelError(
            f"This UNet needs inputs that are not supported: {', '.join(odd)}.",
            hint="Use a Stable Diffusion 1.x, 2.x, Turbo or SDXL model, or the embedded painter.",
        )


def time_embedding(
    unet: UNet2DConditionModel,
    timesteps_B: torch.Tensor,
    context_BTD: torch.Tensor,
    *,
    pooled_BP: torch.Tensor | None = None,
    size_ids_B6: torch.Tensor | None = None,
    guidance_B: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return emb_BE (float32): all that the UNet's resnets are told about timestep and prompt.

    `pooled_BP` and `size_ids_B6` are SDXL's pooled text and its six size numbers (`addition_embed_type`
    "text_time"); `guidance_B` is the guidance scale of a consistency model that takes it as an input
    (`time_cond_proj_dim`). Raises ModelError when such a model is not given them.
    """
    dtype = next(unet.parameters()).dtype
    kind = unet.config.addition_embed_type
    with torch.no_grad():
        emb_BE = unet.time_embedding(unet.time_proj(timesteps_B).to(dtype), _guided(unet, guidance_B))
        if kind == "text":
            emb_BE = emb_BE + unet.add_embedding(context_BTD.to(dtype))
        elif kind == "text_time":
            if pooled_BP is None or size_ids_B6 is None:
                raise ModelError("This UNet wants pooled text and size numbers (SDXL), and got none.")
            sizes_BF = unet.add_time_proj(size_ids_B6.flatten()).reshape(len(pooled_BP), -1)
            emb_BE = emb_BE + unet.add_embedding(torch.cat([pooled_BP.float(), sizes_BF], dim=-1).to(dtype))
        act = getattr(unet, "time_embed_act", None)  # a control net has none
        if act is not None:
            emb_BE = act(emb_BE)
        return emb_BE.float()


def _guided(unet: UNet2DConditionModel, guidance_B: torch.Tensor | None) -> torch.Tensor | None:
    """Return what the time embedding is told of guidance: sinusoids of 1000 * (scale - 1), the sines first.

    Luo et al. 2023 (arXiv:2310.04378), section 4.3; None for a UNet that does not take it.
    """
    width = unet.config.get("time_cond_proj_dim")
    if width is None:
        return None
    if guidance_B is None:
        raise ModelError("This UNet wants the guidance scale (time_cond_proj_dim), and got none.")
    half = int(width) // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10_000.0) / (half - 1)))
    angles_BH = (guidance_B.float()[:, None] - 1.0) * 1000.0 * rates
    waves_BW = torch.cat([torch.sin(angles_BH), torch.cos(angles_BH)], dim=1)
    return nn.functional.pad(waves_BW, (0, int(width) % 2)).to(next(unet.parameters()).dtype)


def embedding_size(unet: UNet2DConditionModel) -> int:
    """Return E of emb_BE."""
    return int(unet.time_embedding.linear_2.out_features)


def unet_network(unet: UNet2DConditionModel, digest: str, extensions: Sequence[Extension] = ()) -> Network:
    """Return the UNet as a `Network`: "latent", "emb" and "context" to "out" of the latent's size.

    The inputs and outputs of `extensions` follow. `digest` must tell their recipes apart.
    """
    channels, out_channels = int(unet.config.in_channels), int(unet.config.out_channels)
    width = unet.config.cross_attention_dim
    inputs: tuple[TensorSpec, ...] = (
        TensorSpec("latent", "float32", ("b", channels, "h", "w")),
        TensorSpec("emb", "float32", ("b", embedding_size(unet))),
        TensorSpec("context", "float32", ("b", "t", width if isinstance(width, int) else "d")),
    )
    out = TensorSpec("out", "float32", ("b", out_channels, "h", "w"))
    name = "+".join(["unet", *(extension.name for extension in extensions)])
    inputs += tuple(spec for extension in extensions for spec in extension.inputs)
    outputs = (out, *(spec for extension in extensions for spec in extension.outputs))
    coupled = any(extension.couples_rows for extension in extensions)
    return Network(name, _frozen(UNetNet(unet, extensions)), inputs, outputs, digest, coupled)


def _frozen(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)
