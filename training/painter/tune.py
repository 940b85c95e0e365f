"""Sharpen the painter: train UNet, text encoder and decoder together on pixels.

Matching latents gets colour and layout right but leaves lines soft, since no latent number knows that it is part
of a line. Here the named latent is decoded and compared with the painted picture itself. The encoder stays as it
is: it is what the UNet reads.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from training.painter.ae import pixel_loss
from training.painter.data import WORK, open_arrays
from training.painter.export import load_parts
from training.painter.loop import Run
from training.painter.styles import STYLES
from training.painter.unet import Batch, Latents, Parts, PerLook, draw_batch, predict


def train(path: Path, parts: Parts, *, seconds: float = 0, steps: int = 0, count: int = 16, lr: float = 5e-4,
          arrays: tuple | None = None, edge: int = 16, favour: Sequence[int] = ()) -> Parts:  # fmt: skip
    """Tune to the budget; `parts` end with the averaged weights. `parts.scale` must be set."""
    source, target, _ = arrays or open_arrays()
    latents = Latents(parts.vae, source, target, parts.scale)
    alphas = parts.scheduler.alphas_cumprod
    decoder: nn.Module = parts.vae.decoder.requires_grad_(True)
    parts.unet.to(memory_format=torch.channels_last)
    run = Run(path, {"unet": parts.unet, "text": parts.text, "decoder": decoder}, lr, seconds=seconds, steps=steps, decay=0.995)
    per_look = PerLook()

    def loss(batch: Batch) -> torch.Tensor:
        named = predict(parts, batch, alphas)
        out = decoder((named / parts.scale).contiguous(memory_format=torch.channels_last))
        assert batch.pixels is not None
        per_look.add(batch.wishes, (out.detach() - batch.pixels).abs().mean((1, 2, 3)))
        return pixel_loss(out, batch.pixels) + 0.05 * (named - batch.target).square().mean()

    for step in run:
        batch = draw_batch(latents, run.rng, count, edge, pixels=True, favour=favour)
        # The noise levels of one and two steps; the far ones keep what they learned.
        near = torch.from_numpy(run.rng.integers(15, 150, count))
        batch.t = torch.where(torch.from_numpy(run.rng.random(count) < 0.85), near, batch.t)
        run.learn_split(loss, batch.halves())
        if step % 50 == 49:
            print(f"step {step + 1} {run.spent_s:.0f}s L1 {per_look.mean.mean():.4f} | {per_look}", flush=True)
    for name, module in run.modules.items():
        module.load_state_dict(run.average.weights[name])
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1500, help="training time; the schedule ends with it")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ae", type=Path, default=WORK / "ae.pt")
    parser.add_argument("--unet", type=Path, default=WORK / "unet.pt")
    parser.add_argument("--checkpoint", type=Path, default=WORK / "tune.pt")
    parser.add_argument("--start", type=Path, help="checkpoint of an earlier tuning to go on from, with a fresh schedule")
    parser.add_argument("--favour", nargs="*", default=[], metavar="LOOK", help="looks that get half of each batch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    favour = [list(STYLES).index(look) for look in args.favour]
    parts = load_parts(args.ae, args.unet, args.start)
    train(args.checkpoint, parts, seconds=args.seconds, count=args.batch, lr=args.lr, favour=favour)


if __name__ == "__main__":
    main()
