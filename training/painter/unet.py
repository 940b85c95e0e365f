"""Train the painter proper: from the noised latent of a plain picture and a sentence to the latent of the painted one.

This is diffusion training with one change: the clean sample that the network must name is not the picture that
was noised but its painted version. One denoising step is then a translation, and the usual img2img loop runs it.
Latents are computed when first needed and kept, so training starts at once and gets faster as it goes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, LCMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.painter.ae import make as make_ae
from training.painter.ae import make_like, to_tensor
from training.painter.data import SIZE, WORK, open_arrays
from training.painter.loop import Run
from training.painter.prompts import LOOKS, Wish, build_tokenizer, draw
from training.painter.styles import finish


@dataclass
class Parts:
    """Everything a diffusers folder holds; `scale` is what makes latents unit-sized."""

    vae: AutoencoderTiny
    unet: UNet2DConditionModel
    text: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: LCMScheduler
    scale: float = 1.0


def make_scheduler() -> LCMScheduler:
    """Return the noise schedule of Stable Diffusion with networks that name the clean sample."""
    return LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="sample",
                        clip_sample=False, set_alpha_to_one=True, steps_offset=1)  # fmt: skip


def make_unet(latent: int = 32, channels: tuple[int, ...] = (80, 128, 192), text: int = 128, groups: int = 8) -> UNet2DConditionModel:
    """Build an untrained UNet with local operations only: the sentence reaches every block through the time embedding."""
    return UNet2DConditionModel(
        sample_size=SIZE // 8, in_channels=latent, out_channels=latent, block_out_channels=channels, layers_per_block=1,
        down_block_types=("DownBlock2D",) * len(channels), up_block_types=("UpBlock2D",) * len(channels),
        mid_block_type="UNetMidBlock2D", cross_attention_dim=text, addition_embed_type="text",
        addition_embed_type_num_heads=4, norm_num_groups=groups, attention_head_dim=4)  # fmt: skip


def make_text(tokenizer: CLIPTokenizer, width: int = 128, layers: int = 2) -> CLIPTextModel:
    """Build an untrained text encoder of the tokenizer's vocabulary and length."""
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=4, max_position_embeddings=tokenizer.model_max_length, projection_dim=width,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id))  # fmt: skip


def make_parts(work: Path = WORK, vae: AutoencoderTiny | None = None, **unet: object) -> Parts:
    """Return untrained parts (with a trained autoencoder, if given)."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(work / "tokenizer")
    vae = (vae or make_ae()).eval().requires_grad_(False)
    return Parts(vae, make_unet(latent=vae.config.latent_channels, **unet), make_text(tokenizer), tokenizer, make_scheduler())


def load_ae(path: Path) -> AutoencoderTiny:
    """Return the averaged autoencoder of an ae.py checkpoint."""
    vae = make_like(make_ae())
    vae.load_state_dict(torch.load(path, weights_only=False)["average"]["vae"])
    return vae


def tokens(parts: Parts, texts: list[str]) -> torch.Tensor:
    """Return token ids, (N, length)."""
    return parts.tokenizer(texts, padding="max_length", max_length=parts.tokenizer.model_max_length, truncation=True,
                           return_tensors="pt").input_ids  # fmt: skip


def timesteps(rng: np.random.Generator, count: int) -> torch.Tensor:
    """Draw noise levels, mostly the low ones that keep a face recognisable: (N,) int64."""
    low, high = np.array([(10, 120), (120, 250), (250, 400)])[rng.choice(3, count, p=(0.7, 0.22, 0.08))].T
    return torch.from_numpy(rng.integers(low, high))


class Latents:
    """Source and target latents of all crops, encoded on first use; float16 (32, 32, 32) each."""

    def __init__(self, vae: AutoencoderTiny, source: np.ndarray, target: np.ndarray, scale: float) -> None:
        self.vae, self.source, self.target, self.scale = vae.to(memory_format=torch.channels_last), source, target, scale
        channels, edge = vae.config.latent_channels, SIZE // 8
        self.kept = torch.zeros(len(source), 1 + target.shape[1], channels, edge, edge, dtype=torch.float16)
        self.known = np.zeros(self.kept.shape[:2], bool)

    @torch.no_grad()
    def encode(self, rgb_NHW3: np.ndarray) -> torch.Tensor:
        """Encode pictures to unit-sized latents, (N, C, H/8, W/8)."""
        with quick():
            latents = self.vae.encoder(to_tensor(rgb_NHW3).contiguous(memory_format=torch.channels_last))
        return latents.float() * self.scale

    def need(self, pairs: list[tuple[int, int]]) -> None:
        """Encode what is missing of (crop, 0 for the source or 1 + look)."""
        new = sorted({p for p in pairs if not self.known[p]})
        for at in range(0, len(new), 8):
            part = new[at : at + 8]
            pictures = np.stack([self.source[i] if k == 0 else self.target[i, k - 1] for i, k in part])
            for pair, z in zip(part, self.encode(pictures), strict=True):
                self.kept[pair] = z.half()
                self.known[pair] = True


@dataclass
class Batch:
    """One training batch: latents (N, C, h, w), sentences, noise levels; pixels only where asked for."""

    source: torch.Tensor
    target: torch.Tensor
    wishes: list[Wish]
    t: torch.Tensor
    noise: torch.Tensor
    pixels: torch.Tensor | None = None

    def halves(self) -> list[Batch]:
        """Split in two, for two cores."""
        n = len(self.wishes) // 2
        return [Batch(self.source[h], self.target[h], self.wishes[h], self.t[h], self.noise[h],
                      None if self.pixels is None else self.pixels[h]) for h in (slice(n), slice(n, None))]  # fmt: skip


def draw_batch(
    latents: Latents,
    rng: np.random.Generator,
    count: int,
    edge: int = 16,
    pixels: bool = False,
    favour: Sequence[int] = (),
) -> Batch:
    """Draw crops of `edge` latents; one in seven starts from the painted picture, as later steps do.

    Half of the batch is of the looks in `favour`, if any are given.
    """
    crops = rng.integers(len(latents.source), size=count)
    wishes = [draw(rng, int(rng.choice(favour)) if len(favour) and n % 2 else None) for n in range(count)]
    corner = 2 * rng.integers(0, (SIZE // 8 - edge) // 2 + 1, (count, 2))  # 16 px cells begin where a whole picture's do
    plain = [not w.mood and w.amount == 1.0 for w in wishes]
    latents.need([(int(i), 0) for i in crops] + [(int(i), 1 + w.look) for i, w, p in zip(crops, wishes, plain, strict=True) if p])

    def cut(i: int, k: int, n: int) -> torch.Tensor:
        y, x = corner[n]
        return latents.kept[i, k, :, y : y + edge, x : x + edge].float()

    def picture(n: int) -> np.ndarray:
        (y, x), i, w = corner[n] * 8, crops[n], wishes[n]
        window = np.s_[y : y + 8 * edge, x : x + 8 * edge]
        return finish(latents.target[i, 0][window], latents.target[i, w.look][window], w.mood, w.amount)

    source = torch.stack([cut(i, 0, n) for n, i in enumerate(crops)])
    target = torch.empty_like(source)
    moody = [n for n in range(count) if not plain[n]]
    for n in range(count):
        if plain[n]:
            target[n] = cut(crops[n], 1 + wishes[n].look, n)
    if moody:
        target[moody] = latents.encode(np.stack([picture(n) for n in moody]))
    again = torch.from_numpy(rng.random(count) < 1 / 7)
    source = torch.where(again[:, None, None, None], target, source)
    want = to_tensor(np.stack([picture(n) for n in range(count)])) if pixels else None
    return Batch(source, target, wishes, timesteps(rng, count), torch.randn_like(source), want)


def quick() -> torch.autocast:
    """Compute in bfloat16 where the processor has instructions for it; weights and optimizer stay in full precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


def predict(parts: Parts, batch: Batch, alphas: torch.Tensor) -> torch.Tensor:
    """Noise the source to level t and name the painted latent, (N, C, h, w)."""
    keep = alphas[batch.t][:, None, None, None]
    noised = keep.sqrt() * batch.source + (1 - keep).sqrt() * batch.noise
    words = parts.text(tokens(parts, [w.text for w in batch.wishes])).last_hidden_state
    with quick():
        named = parts.unet(noised.contiguous(memory_format=torch.channels_last), batch.t, words, return_dict=False)[0]
    return named.float()


class PerLook:
    """Running loss for each look, to see at once which one does not learn."""

    def __init__(self) -> None:
        self.mean = np.full(len(LOOKS), np.nan)

    def add(self, wishes: list[Wish], losses: torch.Tensor) -> None:
        for w, value in zip(wishes, losses.tolist(), strict=True):
            self.mean[w.look] = value if np.isnan(self.mean[w.look]) else 0.95 * self.mean[w.look] + 0.05 * value

    def __str__(self) -> str:
        return " ".join(f"{item.id} {v:.2f}" for item, v in zip(LOOKS, self.mean, strict=True))


def measure_scale(vae: AutoencoderTiny, target: np.ndarray, count: int = 24) -> float:
    """Return 1 / std of the latents over some crops of all looks."""
    latents = Latents(vae, target[:1, 0], target[:1], 1.0)
    looks = target.shape[1]
    return float(1 / latents.encode(np.stack([target[i * 7 % len(target), i % looks] for i in range(count)])).std())


def train(path: Path, parts: Parts, *, seconds: float = 0, steps: int = 0, count: int = 32, lr: float = 1.5e-3,
          arrays: tuple | None = None, edge: int = 16) -> Parts:  # fmt: skip
    """Train UNet and text encoder to the budget; `parts` end with the averaged weights."""
    source, target, _ = arrays or open_arrays()
    parts.scale = measure_scale(parts.vae, target)
    latents = Latents(parts.vae, source, target, parts.scale)
    alphas = parts.scheduler.alphas_cumprod
    parts.unet.to(memory_format=torch.channels_last)
    run = Run(path, {"unet": parts.unet, "text": parts.text}, lr, seconds=seconds, steps=steps)
    per_look = PerLook()

    def loss(batch: Batch) -> torch.Tensor:
        error = predict(parts, batch, alphas) - batch.target
        losses = 0.5 * error.square().mean((1, 2, 3)) + 0.5 * error.abs().mean((1, 2, 3))
        per_look.add(batch.wishes, losses.detach())
        return losses.mean()

    for step in run:
        run.learn_split(loss, draw_batch(latents, run.rng, count, edge).halves())
        if step % 100 == 99:
            print(
                f"step {step + 1} {run.spent_s:.0f}s loss {per_look.mean.mean():.4f} known {latents.known.mean():.2f} | {per_look}",
                flush=True,
            )
    for name, module in run.modules.items():
        module.load_state_dict(run.average.weights[name])
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3300, help="training time; the schedule ends with it")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ae", type=Path, default=WORK / "ae.pt")
    parser.add_argument("--checkpoint", type=Path, default=WORK / "unet.pt")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args.checkpoint, make_parts(vae=load_ae(args.ae)), seconds=args.seconds, count=args.batch, lr=args.lr)


if __name__ == "__main__":
    main()
