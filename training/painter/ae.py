"""Train the autoencoder: 8x8 px become one latent of 32 numbers, on plain and painted pictures alike.

It is diffusers' AutoencoderTiny. Two things decide whether it learns at all: the initial weights (torch's own
leave it stuck near 14 dB) and having seen the looks, since line art and grids are nothing like photographs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import nn

from training.painter.data import LOOKS, SIZE, WORK, open_arrays
from training.painter.loop import Run
from training.painter.styles import MOODS, finish


def make(latent: int = 32, width: int = 32, encoder: tuple[int, ...] = (0, 0, 2, 4),
         decoder: tuple[int, ...] = (4, 3, 0, 0)) -> AutoencoderTiny:  # fmt: skip
    """Build an untrained autoencoder; no blocks at full and half size, where they cost most."""
    vae = AutoencoderTiny(
        latent_channels=latent, encoder_block_out_channels=(width,) * 4, decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=encoder, num_decoder_blocks=decoder)  # fmt: skip
    for name, m in vae.named_modules():
        if isinstance(m, nn.Conv2d):
            inside = ".conv." in name
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu" if inside else "linear")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
            if name.endswith(".conv.4"):
                nn.init.zeros_(m.weight)
    nn.init.constant_(vae.decoder.layers[-1].bias, 0.5)
    return vae


def to_tensor(rgb_NHW3: np.ndarray) -> torch.Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(rgb_NHW3)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def pixel_loss(out_N3HW: torch.Tensor, want_N3HW: torch.Tensor) -> torch.Tensor:
    """L1 on pixels, 0.7 on their differences (crisp lines), 0.5 on 8 px means (right colours)."""
    d = out_N3HW - want_N3HW
    slope = (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
    return d.abs().mean() + 0.7 * slope + 0.5 * F.avg_pool2d(d, 8).abs().mean()


def psnr(out_N3HW: torch.Tensor, want_N3HW: torch.Tensor) -> torch.Tensor:
    """Peak signal to noise per picture, dB, for values in [-1, 1]."""
    error = (out_N3HW.clamp(-1, 1) - want_N3HW).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error)


def batch(target_NL3: np.ndarray, rng: np.random.Generator, count: int, size_px: int) -> torch.Tensor:
    """Draw crops of all looks, a quarter of them with a mood; one in three is a plain picture."""
    out = np.empty((count, size_px, size_px, 3), np.uint8)
    moods = list(MOODS)
    for k in range(count):
        i, look = rng.integers(len(target_NL3)), 0 if rng.random() < 0.2 else rng.integers(len(LOOKS))
        y, x = 8 * rng.integers(0, (SIZE - size_px) // 8 + 1, 2)  # grids stay on the latents
        cut = target_NL3[i, look, y : y + size_px, x : x + size_px]
        out[k] = finish(cut, cut, moods[rng.integers(len(moods))]) if rng.random() < 0.25 else cut
    return to_tensor(out)


def held_pictures(held_M3: np.ndarray) -> torch.Tensor:
    """Return the held-out photos and one look of each, (2M, 3, 256, 256)."""
    from training.painter.styles import STYLES

    painted = np.stack([STYLES[LOOKS[1 + i % (len(LOOKS) - 1)]](p) for i, p in enumerate(held_M3)])
    return to_tensor(np.concatenate([held_M3, painted]))


@torch.no_grad()
def score(vae: AutoencoderTiny, pictures: torch.Tensor) -> tuple[float, float]:
    """Return the mean dB of a round trip over the first (plain) and second (painted) half."""
    out = torch.cat([vae.decoder(vae.encoder(p[None])) for p in pictures])
    db = psnr(out, pictures)
    half = len(db) // 2
    return float(db[:half].mean()), float(db[half:].mean())


def train(path: Path, *, seconds: float = 0, steps: int = 0, count: int = 16, size_px: int = 96, lr: float = 1e-3,
          muon: bool = True, arrays: tuple | None = None, vae: AutoencoderTiny | None = None) -> AutoencoderTiny:  # fmt: skip
    """Train to the budget and return the averaged autoencoder."""
    _, target, held = arrays or open_arrays()
    torch.manual_seed(0)
    vae = (vae or make()).to(memory_format=torch.channels_last)
    run = Run(path, {"vae": vae}, lr, seconds=seconds, steps=steps, muon=muon)
    pictures, ema = held_pictures(held), make_like(vae)
    mean, began = 0.0, time.monotonic()
    for step in run:
        x = batch(target, run.rng, count, size_px).contiguous(memory_format=torch.channels_last)
        z = vae.encoder(x)
        if run.progress > 0.6:
            z = z + torch.randn_like(z) * (0.05 * z.detach().std())
        loss = pixel_loss(vae.decoder(z), x)
        # Decoding starts with 3 tanh(z / 3): keep latents where that is nearly straight.
        run.learn(loss + 0.02 * F.relu(z.abs() - 2.0).mean())
        mean = 0.98 * mean + 0.02 * float(loss.detach())
        if step % 100 == 99:
            line = f"step {step + 1} {run.spent_s:.0f}s {(time.monotonic() - began) / (step + 1):.3f}s/step loss {mean:.4f}"
            if step % 500 == 499 or step == 99:
                ema.load_state_dict(run.average.weights["vae"])
                plain, painted = score(ema, pictures)
                line += f" held-out {plain:.2f} dB plain {painted:.2f} dB painted, std {float(z.detach().std()):.3f}"
            print(line, flush=True)
    ema.load_state_dict(run.average.weights["vae"])
    print("end: held-out dB plain, painted", score(ema, pictures), flush=True)
    return ema


def make_like(vae: AutoencoderTiny) -> AutoencoderTiny:
    """Return an untrained copy with the same configuration."""
    return AutoencoderTiny.from_config({k: v for k, v in vae.config.items() if k != "block_out_channels"}).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1500, help="training time; the schedule ends with it")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=96, help="crop edge, px")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--adam", action="store_true", help="AdamW for everything, to compare")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, default=WORK / "ae.pt")
    parser.add_argument("--start", type=Path, help="diffusers folder to start from instead of fresh weights")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    start = AutoencoderTiny.from_pretrained(args.start) if args.start else None
    train(args.checkpoint, seconds=args.seconds, count=args.batch, size_px=args.size, lr=args.lr, muon=not args.adam, vae=start)


if __name__ == "__main__":
    main()
