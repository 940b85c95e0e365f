"""The two networks of an autoencoder as plain torch modules: pixels to a latent, a latent to a picture.

What stands between a frame and the network's own numbers is part of the graph: there the compiler joins it
with the first or the last layer, and outside of it every small operation costs as much as a layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .base import Network, TensorSpec

Vae = Any
"""diffusers' AutoencoderTiny or AutoencoderKL."""
MIDDLE = 127.5
"""The level of a pixel that stands for 0. Levels less this are exact in bf16 too."""

PIXELS = TensorSpec("pixels", "uint8", ("b", "H", "W", 3))


class EncoderNet(nn.Module):  # type: ignore[misc] # torch is not followed
    """Encode pixels_BHW3 (uint8) to a latent_BCHW, moved by `shift` and multiplied by `scale`.

    A KL autoencoder gives the mode of its distribution, so that the same picture always has the same latent.
    """

    def __init__(self, vae: Vae, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift
        self.encoder = vae.encoder
        self.quant = getattr(vae, "quant_conv", None)
        self.is_kl = hasattr(vae.config, "double_z") or vae.__class__.__name__ == "AutoencoderKL"

    def forward(self, pixels_BHW3: torch.Tensor) -> torch.Tensor:
        numbers_BHW3 = (pixels_BHW3.float() - MIDDLE) / MIDDLE  # cast at once: TensorRT wants it so
        picture_B3HW = numbers_BHW3.permute(0, 3, 1, 2).to(next(self.encoder.parameters()).dtype)
        latent_BCHW = self.encoder(picture_B3HW)
        if self.quant is not None:
            latent_BCHW = self.quant(latent_BCHW)
        if self.is_kl:
            latent_BCHW = latent_BCHW.chunk(2, dim=1)[0]
        if self.scale != 1.0 or self.shift:
            latent_BCHW = (latent_BCHW - self.shift) * self.scale
        return latent_BCHW


class DecoderNet(nn.Module):  # type: ignore[misc] # torch is not followed
    """Decode a latent_BCHW, first divided by `scale` and moved by `shift`, to pixels_BHW3 (uint8)."""

    def __init__(self, vae: Vae, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift
        self.decoder = vae.decoder
        self.post_quant = getattr(vae, "post_quant_conv", None)

    def forward(self, latent_BCHW: torch.Tensor) -> torch.Tensor:
        if self.scale != 1.0 or self.shift:
            latent_BCHW = latent_BCHW / self.scale + self.shift
        if self.post_quant is not None:
            latent_BCHW = self.post_quant(latent_BCHW)
        picture_BHW3 = self.decoder(latent_BCHW).permute(0, 2, 3, 1).float()
        levels_BHW3 = (picture_BHW3 * MIDDLE + MIDDLE).clamp(0.0, 255.0).round()
        return levels_BHW3.to(torch.uint8)  # cast at last: TensorRT wants it so


def encoder_network(vae: Vae, digest: str, scale: float = 1.0, shift: float = 0.0) -> Network:
    """Return the encoder as a `Network`: "pixels" (b, H, W, 3), uint8, to "latent" (b, c, h, w), scaled.

    `digest` must tell scales apart, as that of the folder with the autoencoder's config does.
    """
    module = EncoderNet(vae, scale, shift).eval().requires_grad_(False)
    return Network("encoder", module, (PIXELS,), (_latent(vae),), digest)


def decoder_network(vae: Vae, digest: str, scale: float = 1.0, shift: float = 0.0) -> Network:
    """Return the decoder as a `Network`: "latent" (b, c, h, w), scaled, to "pixels" (b, H, W, 3), uint8.

    `digest` must tell scales apart, as that of the folder with the autoencoder's config does.
    """
    module = DecoderNet(vae, scale, shift).eval().requires_grad_(False)
    return Network("decoder", module, (_latent(vae),), (PIXELS,), digest)


def _latent(vae: Vae) -> TensorSpec:
    return TensorSpec("latent", "float32", ("b", int(vae.config.latent_channels), "h", "w"))
