"""Words that the painter's tests share: small pictures, stamps, and the oracle that paints one frame alone.

The oracle is written from the papers in plain torch and diffusers modules, row by row; it shares no line with
the stream batch.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines.diffusion import folder as folders
from realtime.core.frame import Frame, Stamp

SIDE = 64
ATOL = 2e-4


def stamp(seq: int, source: str = "video") -> Stamp:
    return Stamp(source, seq, seq * 3000, Fraction(1, 90_000), seq * 1_000_000)


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Return a soft random picture, (H, W, 3)."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 9.0
    waves = [
        np.sin(x * draw.uniform(0.5, 2) + draw.uniform(0, 6) + np.cos(y * draw.uniform(0.5, 2)))
        for _ in "rgb"
    ]
    return (
        (127 + 100 * np.stack(waves, -1) + draw.normal(0, 8, (height, width, 3)))
        .clip(0, 255)
        .astype(np.uint8)
    )


def frame(
    seq: int, seed: int | None = None, height: int = SIDE, width: int = SIDE, source: str = "video"
) -> Frame:
    return Frame(stamp(seq, source), picture(seq if seed is None else seed, height, width))


@contextmanager
def drawn(module: str, given: Sequence[torch.Tensor]) -> Iterator[None]:
    """Let a module of diffusers draw these noises in place of its own."""
    place: Any = importlib.import_module(f"diffusers.{module}")
    left, real = list(given), place.randn_tensor
    place.randn_tensor = lambda *_, **__: left.pop(0)[None] if left else torch.zeros(())
    try:
        yield
    finally:
        place.randn_tensor = real


@dataclass
class Oracle:
    """Paint one frame alone, step after step, with the model's parts as diffusers runs them."""

    parts: folders.Parts
    prediction: str

    @classmethod
    def of(cls, folder: Path) -> Oracle:
        scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        return cls(folders.read(folder), scheduler["prediction_type"])

    def alpha(self, t: int) -> float:
        """Return the share of the picture's variance at `t`, by Stable Diffusion's formula."""
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        return float(torch.cumprod(1 - betas, 0)[t])

    @torch.no_grad()
    def context(self, prompt: str) -> torch.Tensor:
        tokenizer = self.parts.tokenizer
        ids = tokenizer(
            [prompt], padding="max_length", truncation=True, max_length=tokenizer.model_max_length
        )
        return self.parts.text_encoder(torch.tensor(ids.input_ids)).last_hidden_state

    @torch.no_grad()
    def latent(self, pixels: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        encoded = self.parts.vae.encode(tensor)
        raw = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return raw * self.parts.vae.config.scaling_factor

    def noise(self, seed: int, steps: int, shape: Sequence[int]) -> torch.Tensor:
        return torch.randn((steps, *shape), generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def paint(
        self,
        pixels: np.ndarray,
        prompt: str,
        timesteps: Sequence[int],
        *,
        seed: int = 2,
        guidance_scale: float | None = None,
        negative: str = "",
        no_noise: bool = False,
    ) -> torch.Tensor:
        """Return the clean latent after the last step, (1, C, h, w)."""
        clean = self.latent(pixels)
        noise = self.noise(seed, len(timesteps), clean.shape[1:]) * (0.0 if no_noise else 1.0)
        for t, eta in zip(timesteps, noise, strict=True):
            alpha = self.alpha(t)
            x = alpha**0.5 * clean + (1 - alpha) ** 0.5 * eta[None]
            out = self.parts.unet(x, torch.tensor([t]), self.context(prompt)).sample
            if guidance_scale is not None:
                other = self.parts.unet(x, torch.tensor([t]), self.context(negative)).sample
                out = other + guidance_scale * (out - other)
            if self.prediction == "epsilon":
                out = (x - (1 - alpha) ** 0.5 * out) / alpha**0.5
            elif self.prediction == "v_prediction":
                out = alpha**0.5 * x - (1 - alpha) ** 0.5 * out
            scaled = 10.0 * t
            clean = scaled / (scaled**2 + 0.25) ** 0.5 * out + 0.25 / (scaled**2 + 0.25) * x
        return clean

    @torch.no_grad()
    def decode(self, latent: torch.Tensor) -> np.ndarray:
        """Return the picture before it is rounded, (H, W, 3) in 0 to 255."""
        decoded = self.parts.vae.decode(latent / self.parts.vae.config.scaling_factor).sample
        return (decoded[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
