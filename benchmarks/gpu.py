"""What runs on an NVIDIA GPU with plain torch and torch.compile: parity and speed of the painter.

Parity: the embedded painter's pictures in each precision on the GPU against fp32 on the processor, in levels
of 0..255. Speed: the embedded painter, and a UNet of the geometry of SD-Turbo (866 M parameters, 512x512;
random weights, since speed does not depend on what weights say), with one and two steps in a stream batch. A
frame is pixels in to pixels out. TensorRT is not part of it: its own tests are marked `gpu`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import _models as small
from benchmarks._measure import median, print_table, quantile
from benchmarks._ours import Ours, Stream
from realtime.core.errors import ConfigError

EMBEDDED = Path(__file__).parents[1] / "models" / "painter"
STEPS = {1: (32,), 2: (16, 32)}
HOW: dict[str, Any] = {
    "scale": 1.0, "delta": 1.0, "seed": 5, "prompt": "watercolor painting, warm", "negative": ""
}  # fmt: skip
PRECISIONS = ("fp32", "fp16", "bf16")
WARM, FRAMES = 12, 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=512, help="side of the large painter's pictures, px")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--engines", nargs="*", default=["torch", "torch-compile"])
    parser.add_argument("--no-large", action="store_true", help="the embedded painter only")


def run(options: argparse.Namespace) -> dict[str, Any]:
    if not torch.cuda.is_available():
        raise ConfigError("There is no NVIDIA GPU here.", hint="This benchmark is for machines with one.")
    figures: dict[str, Any] = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__}
    figures["levels_apart"] = parity()
    figures["fps"] = dict(_speeds(EMBEDDED, "embedded 256", 256, options))
    if not options.no_large:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            large(Path(folder))
            print(f"  wrote the large model in {time.perf_counter() - began:.0f} s", flush=True)
            figures["fps"] |= dict(_speeds(Path(folder), f"866 M {options.size}", options.size, options))
    figures["memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print_table({**figures["levels_apart"], **figures["fps"]})
    return figures


def parity() -> dict[str, float]:
    """Return how far apart pictures are on average, by precision; a process that sees no GPU is the judge."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exact.npy"
        hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([sys.executable, "-m", "benchmarks.gpu", str(path)], env=hidden, check=True)
        exact = np.load(path)
    apart = {}
    for precision in PRECISIONS:
        ours = Ours(EMBEDDED, "torch", precision, 256)
        assert ours.painter.info.device == "cuda", f"it paints on {ours.painter.info.device}"
        apart[f"levels apart {precision}"] = float(np.abs(painted(ours) - exact).mean())
    return apart


def painted(ours: Ours) -> np.ndarray:
    """Return what becomes of four pictures, (4, H, W, 3) float32."""
    stream = _stream(ours, 1)
    pictures = [picture(256, 10 * k) for k in range(4)]
    return np.stack([ours.frame(stream, one)[0] for one in pictures]).astype(np.float32)


def _stream(ours: Ours, steps: int) -> Stream:
    return ours.prepare(STEPS[steps], "none", **HOW)


def _speeds(
    folder: Path, name: str, side_px: int, options: argparse.Namespace
) -> Iterator[tuple[str, float]]:
    pictures = [picture(side_px, 10 * k) for k in range(8)]
    for engine in options.engines:
        began = time.perf_counter()
        ours = Ours(folder, engine, "fp16", side_px)
        for steps in STEPS:
            stream = _stream(ours, steps)
            for k in range(WARM):
                ours.frame(stream, pictures[k % len(pictures)])
            took = []
            for k in range(options.frames):
                start = time.perf_counter()
                ours.frame(stream, pictures[k % len(pictures)])  # pixels are on the host at its end
                took.append(time.perf_counter() - start)
            label = f"{name} {engine} {steps} step" + "s" * (steps > 1)
            yield label, round(1 / median(took), 2)
            p95_ms, ready_s = quantile(took, 0.95) * 1e3, time.perf_counter() - began
            print(f"  {label}: p95 {p95_ms:.1f} ms, {ready_s:.0f} s since loading began", flush=True)


def picture(side_px: int, shift_px: int) -> np.ndarray:
    """Return discs and slopes of colour, moved to the right by `shift_px`; (side, side, 3) uint8."""
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    x = (x - shift_px) % side_px
    waves = [np.sin((a * x + b * y) * 2 * np.pi / side_px) for a, b in ((1, 0), (1, 2), (0, 3))]
    disc = np.hypot(x - side_px / 2, y - side_px / 2) < side_px / 4
    grey = np.stack(waves, -1) * 60 + 128 + disc[..., None] * 60
    seen: np.ndarray = grey.clip(0, 255).astype(np.uint8)
    return seen


def large(folder: Path) -> Path:
    """Write a painter of SD-Turbo's geometry (Stable Diffusion 2.1's UNet) with random weights in fp16."""
    from diffusers import AutoencoderTiny, LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(small.SEED)
    with torch.device("cuda"):
        unet = UNet2DConditionModel(
            sample_size=64,
            attention_head_dim=(5, 10, 20, 20),
            cross_attention_dim=1024,
            use_linear_projection=True,
        )
    size = len(small.letters())
    text = CLIPTextConfig(
        vocab_size=size,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=2,
        num_attention_heads=16,
        max_position_embeddings=77,
        projection_dim=512,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderTiny().half(),
        text_encoder=CLIPTextModel(text).half(),
        tokenizer=small.tokenizer(folder / "tokenizer"),
        unet=unet.half().cpu(),
        scheduler=LCMScheduler(**betas, steps_offset=1, prediction_type="epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return folder


if __name__ == "__main__":
    np.save(sys.argv[1], painted(Ours(EMBEDDED, "torch", "fp32", 256)))
