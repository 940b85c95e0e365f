"""A control net (Zhang et al. 2023, arXiv:2302.05543) as two parts: a network of its own, and what the UNet
takes in of it.

The control net runs first and gives a residual for each skip of the UNet and one for its middle. Several nets
are added up, each row with its own scale, so the UNet needs one set of inputs whatever the number of nets,
and the same UNet engine serves all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipelines.diffusion.disk import weights
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.networks import Plain, embedding_size
from realtime.core.errors import ModelError

from .reading import digest_of, read_config

if TYPE_CHECKING:
    from diffusers import ControlNetModel, UNet2DConditionModel

MIDDLE = "control_middle"
ADDITIONS = (None, "text", "text_time")


@dataclass(frozen=True, slots=True)
class Residual:
    """Describe one tensor that a control net gives."""

    name: str
    channels: int
    stride: int
    """Latent cells a cell of it."""

    def spec(self) -> TensorSpec:
        """Describe it as an input or output of a network."""
        sides = ("h", "w") if self.stride == 1 else (f"h/{self.stride}", f"w/{self.stride}")
        return TensorSpec(self.name, "float32", ("b", self.channels, *sides))

    def shape(self, rows: int, side: int) -> tuple[int, int, int, int]:
        """Return its shape for latents `side` cells high and wide."""
        return (rows, self.channels, side // self.stride, side // self.stride)


def residuals_of(net: Any) -> tuple[Residual, ...]:
    """Return what the skips and the middle of a UNet or control net look like, the middle last."""
    widths = net.config.block_out_channels
    shapes, stride = [(int(widths[0]), 1)], 1
    for block, width in zip(net.down_blocks, widths, strict=True):
        shapes += [(int(width), stride)] * len(block.resnets)
        if block.downsamplers is not None:
            stride *= 2
            shapes.append((int(width), stride))
    skips = [Residual(f"control_{k}", *shape) for k, shape in enumerate(shapes)]
    return (*skips, Residual(MIDDLE, int(widths[-1]), stride))


class ControlNetNet(nn.Module):  # type: ignore[misc] # torch is not followed
    """Run a control net on a latent_BCHW, an emb_BE of its own time embedding, a context_BTD of text and a
    hint_B3HW in [0, 1]; give its residuals in the order of `residuals_of`.
    """

    def __init__(self, net: ControlNetModel) -> None:
        super().__init__()
        self.net = net
        self.is_bgr = net.config.controlnet_conditioning_channel_order == "bgr"

    def forward(
        self,
        latent_BCHW: torch.Tensor,
        emb_BE: torch.Tensor,
        context_BTD: torch.Tensor,
        hint_B3HW: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        net = self.net
        hint_B3HW = hint_B3HW.flip(1) if self.is_bgr else hint_B3HW
        x = net.conv_in(latent_BCHW) + net.controlnet_cond_embedding(hint_B3HW)
        skips: tuple[torch.Tensor, ...] = (x,)
        for block in net.down_blocks:
            x, more = block(hidden_states=x, temb=emb_BE, **_text(block, context_BTD))
            skips += more
        if net.mid_block is not None:
            x = net.mid_block(x, emb_BE, **_text(net.mid_block, context_BTD))
        given = [layer(skip) for layer, skip in zip(net.controlnet_down_blocks, skips, strict=True)]
        return (*given, net.controlnet_mid_block(x))


class ControlInputs(Plain):
    """Add a control net's residuals to the skips and the middle of a UNet."""

    name = "control"

    def __init__(self, residuals: Sequence[Residual]) -> None:
        self.residuals = tuple(residuals)
        self.inputs = tuple(one.spec() for one in residuals)
        self.recipe = digest_of(repr(self.residuals), Path(__file__))
        self._given: tuple[torch.Tensor, ...] = ()

    def install(self, unet: UNet2DConditionModel) -> None:
        """Check that the UNet has these skips. Raises ModelError for another kind of UNet."""
        own = residuals_of(unet)
        if own != self.residuals:
            ours, theirs = ([one.channels for one in kind] for kind in (own, self.residuals))
            raise ModelError(
                f"The control net was made for another kind of model: its parts are {theirs} channels wide, "
                f"those of this UNet {ours}.",
                hint="Use one of the same family: Stable Diffusion 1.x, 2.x or XL.",
            )

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        draw = torch.Generator().manual_seed(1)
        return tuple(torch.randn(one.shape(rows, side), generator=draw) for one in self.residuals)

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        self._given = tuple(tensors)

    def on_skips(self, skips: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(skip + more for skip, more in zip(skips, self._given[:-1], strict=True))

    def on_middle(self, x: torch.Tensor) -> torch.Tensor:
        return x + self._given[-1]

    def leave(self) -> tuple[torch.Tensor, ...]:
        self._given = ()
        return ()


def read_control_net(folder: Path) -> ControlNetModel:
    """Load a diffusers control net from `folder`. Raises ModelError for another kind, or ModelCorrupt."""
    from diffusers import ControlNetModel

    kind = read_config(folder).get("_class_name", "no network of diffusers")
    if kind != "ControlNetModel":
        raise ModelError(f"{folder.name} is {kind}.", hint="Only ControlNetModel of diffusers is supported.")
    net = weights(ControlNetModel, folder, stem="diffusion_pytorch_model", dtype_name="torch_dtype")
    config = net.config
    odd = [
        f"{name} = {config[name]!r}"
        for name in ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type", "global_pool_conditions")
        if config.get(name)
    ]
    if config.addition_embed_type not in ADDITIONS:
        odd.append(f"addition_embed_type = {config.addition_embed_type!r}")
    if odd:
        raise ModelError(f"The control net {folder.name} is of a kind that is not supported: {odd[0]}.")
    return net


def control_network(net: ControlNetModel, digest: str) -> Network:
    """Return a control net as a `Network`: "latent", "emb", "context" and "hint" to its residuals."""
    width = net.config.cross_attention_dim
    inputs = (
        TensorSpec("latent", "float32", ("b", int(net.config.in_channels), "h", "w")),
        TensorSpec("emb", "float32", ("b", embedding_size(net))),
        TensorSpec("context", "float32", ("b", "t", width if isinstance(width, int) else "d")),
        TensorSpec("hint", "float32", ("b", 3, "H", "W")),
    )
    outputs = tuple(one.spec() for one in residuals_of(net))
    module = ControlNetNet(net).eval().requires_grad_(False)
    return Network("controlnet", module, inputs, outputs, digest_of(digest, Path(__file__)))


def _text(block: nn.Module, context_BTD: torch.Tensor) -> dict[str, Any]:
    return {"encoder_hidden_states": context_BTD} if getattr(block, "has_cross_attention", False) else {}
