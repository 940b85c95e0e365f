"""Words that the painter's tests share: small pictures, stamps, and the oracle that paints one frame alone.

The oracle is written from the papers in plain torch and diffusers modules, row by row; it shares no line with
the stream batch.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
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


def walk(
    x: torch.Tensor,
    noise: torch.Tensor,
    timesteps: Sequence[int],
    levels: Sequence[tuple[float, float]],
    network: Callable[[int, torch.Tensor, int], torch.Tensor],
    mode: str = "none",
    scale: float | None = None,
    delta: float = 1.0,
    sampler: str = "lcm",
    between: Sequence[tuple[float, float]] = (),
    own: torch.Tensor | None = None,
    end: tuple[float, float] = (1.0, 0.0),
) -> torch.Tensor:
    """Return what StreamDiffusion makes of one frame's noised latent, in the words of its paper and code.

    Residual guidance carries the *stock noise* from step to step, by the recursion that the code has (and not
    by the anchor that ours has). `network(which, x, t)` gives the predicted noise of the prompt (0) or the
    negative prompt (1); `noise` is what each step is noised with, the first of it also the first stock noise.

    The samplers "ddim" and "tcd" are by their papers: DDIM keeps the guided noise; TCD goes with it to the
    level `between` two steps (a and b, one a step) and from there with fresh noise. They have no recursion:
    their stock noise is by the paper's equation 5, of the frame's `own` latent or of the negative prompt's
    first estimate. `end` (a and b) is the level that they end at.
    """
    w = 1.0 if scale is None else scale
    stock = noise[:1]
    if own is not None:
        stock = (x - levels[0][0] * own) / levels[0][1]
    for i, (t, (a, b)) in enumerate(zip(timesteps, levels, strict=True)):
        scaled = 10.0 * t
        c_skip, c_out = 0.25 / (scaled**2 + 0.25), scaled / (scaled**2 + 0.25) ** 0.5
        eps = network(0, x, t)
        if mode == "onetime" and i == 0:
            stock = network(1, x, t)
            own = (x - b * stock) / a
        if w == 1.0 or mode == "none":
            pass
        elif mode == "full":
            other = network(1, x, t)
            eps = other + w * (eps - other)
        else:
            eps = delta * stock + w * (eps - delta * stock)
        if sampler != "lcm":
            clean = (x - b * eps) / a
            if i + 1 < len(levels):
                assert own is not None
                (next_a, next_b), (mid_a, mid_b) = levels[i + 1], between[i + 1]
                reached = next_a / mid_a * (mid_a * clean + mid_b * eps)
                fresh = max(1 - (next_a / mid_a) ** 2, 0.0) ** 0.5 * noise[i + 1 : i + 2]
                x = next_a * clean + next_b * eps if sampler == "ddim" else reached + fresh
                stock = (x - next_a * own) / next_b
            else:
                clean = end[0] * clean + end[1] * eps
            continue
        clean = c_out * (x - b * eps) / a + c_skip * x
        if i + 1 < len(levels):
            next_a, next_b = levels[i + 1]
            residue = c_out * b * (stock - eps) / a + c_skip * b * stock
            stock = noise[i + 1 : i + 2] + next_a / next_b * residue
            x = next_a * clean + next_b * noise[i + 1 : i + 2]
    return clean


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
        prompt: str | torch.Tensor,
        timesteps: Sequence[int],
        *,
        seed: int = 2,
        guidance_scale: float | None = None,
        negative: str | torch.Tensor = "",
        no_noise: bool = False,
        mode: str = "full",
        delta: float = 1.0,
        noise: torch.Tensor | None = None,
        from_noise: bool = False,
        renoise: bool = True,
        sampler: str = "lcm",
        eta_tcd: float = 0.3,
    ) -> torch.Tensor:
        """Return the clean latent after the last step, (1, C, h, w).

        Prompts may be given as contexts. `noise` stands in for that of `seed`; `renoise` is the reference's
        `do_add_noise`, and `from_noise` begins with the noise itself.
        """
        own = self.latent(pixels) * (0.0 if from_noise else 1.0)
        eta = self.noise(seed, len(timesteps), own.shape[1:]) if noise is None else noise
        levels = [self.level(t) for t in timesteps]
        (a, b), *_ = levels
        start = eta[:1] if from_noise else a * own + b * eta[:1] * (0.0 if no_noise else 1.0)
        words = [self.context(one) if isinstance(one, str) else one for one in (prompt, negative)]

        def network(which: int, x: torch.Tensor, t: int) -> torch.Tensor:
            return self.epsilon(self.parts.unet(x.float(), torch.tensor([t]), words[which]).sample, x, t)

        again = eta * (0.0 if no_noise else 1.0)
        again = again if renoise else torch.cat([again[:1], 0 * again[1:]])
        between = [self.level(int((1 - eta_tcd) * t)) for t in timesteps]
        known = own if sampler != "lcm" or from_noise else None
        end = self.level(0) if sampler == "tcd" else (1.0, 0.0)  # a trained model's ddim ends clean
        return walk(
            start,
            again,
            timesteps,
            levels,
            network,
            mode,
            guidance_scale,
            delta,
            sampler,
            between,
            known,
            end,
        )

    def level(self, t: int) -> tuple[float, float]:
        """Return a and b of x = a * clean + b * noise."""
        return self.alpha(t) ** 0.5, (1 - self.alpha(t)) ** 0.5

    def epsilon(self, out: torch.Tensor, x: torch.Tensor, t: int) -> torch.Tensor:
        """Return the noise that the network's output means at `x`."""
        a, b = self.level(t)
        if self.prediction == "sample":
            return (x - a * out) / b
        return a * out + b * x if self.prediction == "v_prediction" else out

    @torch.no_grad()
    def decode(self, latent: torch.Tensor) -> np.ndarray:
        """Return the picture before it is rounded, (H, W, 3) in 0 to 255."""
        decoded = self.parts.vae.decode(latent / self.parts.vae.config.scaling_factor).sample
        return (decoded[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
