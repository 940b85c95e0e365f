"""Words of the families' tests: ask a stream for pictures, let diffusers' own pipelines paint the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.kits import Kit
from pipelines.diffusion.noise import Seeds
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.stream_batch import StreamBatch, tick
from pipelines.diffusion.trajectory import Trajectory
from pipelines.diffusion.wish import Wish
from tests.pipelines.diffusion.vocabulary import picture, stamp


@dataclass(frozen=True)
class Ask:
    """What one frame is to become."""

    prompt: str = "a red cat"
    steps: int = 2
    pixels: int | None = None
    """Seed of the picture that is painted over; None paints from noise."""
    strength: float = 1.0
    seed: int = 2
    sampler: str = ""
    guidance: Guidance = field(default_factory=Guidance)
    negative: str = ""
    t_index: tuple[int, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)
    size_px: int = 64

    @property
    def wish(self) -> Wish:
        return Wish(self.steps, self.strength, self.t_index, self.sampler, seeds=Seeds(self.seed))


def started(painter: Painter, ask: Ask, seq: int = 0, kit: Kit | None = None) -> Trajectory:
    """Return the frame in flight."""
    start = None
    if ask.pixels is None:
        reference, start = painter.blank(ask.wish, ask.size_px)
    else:
        reference = painter.encode([picture(ask.pixels, ask.size_px, ask.size_px)])
    words = painter.book.words(ask.prompt, ask.negative)
    return painter.start(
        stamp(seq),
        "one",
        reference,
        words,
        ask.wish,
        ask.guidance,
        kit=kit,
        start_1CHW=start,
        extras=ask.extras,
    )


@torch.inference_mode()
def stream(painter: Painter, asks: Sequence[Ask], kit: Kit | None = None) -> list[torch.Tensor]:
    """Return the finished latents of frames that come in one a tick, so that their steps share calls."""
    batch, out = StreamBatch(), list[torch.Tensor]()
    for seq, ask in enumerate(asks):
        batch.admit(started(painter, ask, seq, kit))
        out += [one.latent_1CHW for one in tick(painter, [batch])[0] if isinstance(one, Trajectory)]
    while batch:
        out += [one.latent_1CHW for one in tick(painter, [batch])[0] if isinstance(one, Trajectory)]
    return out


def noises(painter: Painter, ask: Ask) -> torch.Tensor:
    """Return the noises of the frame's steps, drawn anew, (steps, C, h, w)."""
    side, channels = ask.size_px // painter.latents.factor, painter.latents.channels
    draw = torch.Generator().manual_seed(ask.seed)
    return torch.randn((len(ask.wish), channels, side, side), generator=draw)


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())
