"""A loaded model, ready to paint at one size: engines, scales and noise levels. It holds no frame of anyone.

Sessions share it. Everything here is either fixed for the model or a pure function of its arguments that is
remembered (noise by seed, schedules by steps and strength, time embeddings by prompt and timestep).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from realtime.core.frame import Stamp

from .guidance import Guidance
from .levels import Levels
from .pictures import Pixels, to_numbers, to_pixels
from .prompts import Embedding, PromptBook, Words
from .schedule import Schedule
from .text import TextSide
from .trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import EngineInfo

KEPT_NOISES = 16
KEPT_SCHEDULES = 256


class Engine(Protocol):
    """What the painter needs of `pipelines.engines.base.Engine`."""

    info: EngineInfo

    def run(self, **tensors: Tensor) -> Mapping[str, Tensor]: ...

    def warm(self, shapes: Mapping[str, tuple[int, ...]]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Latents:
    """Say what latents look like between autoencoder and UNet."""

    channels: int
    side: int
    """Height and width in latent cells."""
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Engines:
    """Hold the three networks of a painter."""

    encoder: Engine
    unet: Engine
    decoder: Engine

    def __iter__(self) -> Any:
        return iter((self.encoder, self.unet, self.decoder))


class Painter:
    """Encode, denoise and decode for any number of sessions, from one thread at a time."""

    def __init__(
        self, *, size_px: int, latents: Latents, engines: Engines, levels: Levels, text: TextSide, unet: Any
    ) -> None:
        self.size_px = size_px
        self.latents = latents
        self.engines = engines
        self.levels = levels
        self.prediction = levels.prediction
        self.text = text
        self.book = PromptBook(text.embed)
        self.device = engines.unet.info.device
        self._unet = unet
        """The UNet as diffusers has it, for the time embedding only."""
        self.noise = lru_cache(KEPT_NOISES)(self._noise)
        self.schedule = lru_cache(KEPT_SCHEDULES)(self._schedule)

    @property
    def info(self) -> EngineInfo:
        """What runs the UNet, and why that."""
        return self.engines.unet.info

    def encode(self, pictures: Sequence[Pixels]) -> Tensor:
        """Return the latents of square pictures (size_px, size_px, 3), scaled: (B, C, h, w)."""
        raw = self.engines.encoder.run(picture=to_numbers(pictures))["latent"]
        return (raw - self.latents.shift) * self.latents.scale

    def decode(self, latent_BCHW: Tensor) -> list[Pixels]:
        """Return the pictures of scaled latents."""
        raw = latent_BCHW / self.latents.scale + self.latents.shift
        return to_pixels(self.engines.decoder.run(latent=raw)["picture"])

    def denoise(self, latent_BCHW: Tensor, emb_BE: Tensor, context_BTD: Tensor) -> Tensor:
        """Run the UNet; the result may be overwritten by the next call."""
        return self.engines.unet.run(latent=latent_BCHW, emb=emb_BE, context=context_BTD)["out"]

    def time_row(self, embedding: Embedding, t: int) -> Tensor:
        """Return what the UNet's blocks are told about timestep and prompt, (1, E)."""
        row = embedding.time_rows.get(t)
        if row is None:
            import torch

            from pipelines.engines.networks import time_embedding

            context_1TD = embedding.context_1TD.to("cpu")
            row = time_embedding(self._unet, torch.tensor([t]), context_1TD).to(self.device)
            embedding.time_rows[t] = row
        return row

    def start(
        self,
        stamp: Stamp,
        session: str,
        reference_1CHW: Tensor,
        words: Words,
        *,
        steps: int,
        strength: float,
        seed: int,
        guidance: Guidance,
    ) -> Trajectory:
        """Return the trajectory of a frame whose latent is `reference_1CHW`."""
        return Trajectory(
            stamp,
            session,
            self.schedule(steps, strength),
            self.noise(seed, steps),
            reference_1CHW,
            words,
            guidance,
            self.levels.painted(strength),
        )

    def warm(self, batch: int, rows: int) -> None:
        """Build what `batch` pictures and `rows` rows of the UNet in one call need."""
        side, channels = self.latents.side, self.latents.channels
        words = self.book.words("", "")
        emb, context = self.time_row(words.prompt, 1), words.prompt.context_1TD
        self.engines.encoder.warm({"picture": (batch, 3, self.size_px, self.size_px)})
        self.engines.decoder.warm({"latent": (batch, channels, side, side)})
        self.engines.unet.warm(
            {
                "latent": (rows, channels, side, side),
                "emb": (rows, emb.shape[1]),
                "context": (rows, *context.shape[1:]),
            }
        )

    def close(self) -> None:
        """Give the engines' memory back. Twice does no harm."""
        self.book.close()
        for engine in self.engines:
            engine.close()

    def _noise(self, seed: int, steps: int) -> Tensor:
        """Return the noises of all steps, (steps, C, h, w): one set for all frames, so a still view stays."""
        import torch

        side = self.latents.side
        generator = torch.Generator("cpu").manual_seed(seed)
        return torch.randn((steps, self.latents.channels, side, side), generator=generator).to(self.device)

    def _schedule(self, steps: int, strength: float) -> Schedule:
        return self.levels.schedule(steps, strength)
