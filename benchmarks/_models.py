"""Write the model that both sides of a comparison load: random weights, real shapes, diffusers folder.

A UNet of 12.5 M parameters on latents of 16x16 cells (pictures of 128x128), a two-layer CLIP text encoder
over single bytes, and the full-size tiny autoencoder. Speed does not depend on what weights say; what can be
seen of an error does: with the default initialisation the signal dies on its way, so weights are rescaled
until latents, noise estimates and pictures have a standard deviation of about one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.engines.key import cache_folder

RECIPE = 1
"""Raise it with any change below: it names the folder."""
SIZE_PX = 128
TEXT_WIDTH, TEXT_LENGTH = 64, 32
WIDTHS = (64, 128, 256)
SEED = 11


def model_folder() -> Path:
    """Return the model's folder in this person's cache; write it first if it is not there."""
    folder = cache_folder() / "benchmarks" / f"unet-12m-recipe{RECIPE}"
    if not (folder / "model_index.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=folder.parent))
        try:
            write(part)
            os.replace(part, folder)
        except OSError:
            if not (folder / "model_index.json").is_file():  # else another process was first
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def write(folder: Path) -> Path:
    """Write the model into `folder` and return it; takes a few seconds, 70 MB."""
    from diffusers import LCMScheduler, StableDiffusionPipeline

    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    pipeline = StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(),
        tokenizer=tokenizer(folder / "tokenizer"),
        unet=unet(),
        scheduler=LCMScheduler(**betas, steps_offset=1, prediction_type="epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return folder


def unet() -> nn.Module:
    """Return the UNet: two levels with text attention, one without; its output has a std of about 1."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(SEED)
    model = UNet2DConditionModel(
        sample_size=SIZE_PX // 8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=WIDTHS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=8,
    ).eval()
    enliven(model)
    latent_BCHW = torch.randn(4, 4, SIZE_PX // 8, SIZE_PX // 8)
    context_BTD = torch.randn(4, TEXT_LENGTH, TEXT_WIDTH)
    with torch.inference_mode():
        out = model(latent_BCHW, torch.tensor([999, 679, 359, 99]), context_BTD).sample
    divide(model.conv_out, out.std().item())
    return model


def autoencoder() -> nn.Module:
    """Return the tiny autoencoder at full size (2.4 M parameters): latents and pictures have a std near 1."""
    from diffusers import AutoencoderTiny

    torch.manual_seed(SEED + 1)
    model = AutoencoderTiny().eval()
    enliven(model)
    with torch.inference_mode():
        picture_B3HW = torch.rand(2, 3, SIZE_PX, SIZE_PX) * 2 - 1
        latent_BCHW = model.encode(picture_B3HW).latents
        divide(model.encoder.layers[-1], latent_BCHW.std().item())
        latent_BCHW = torch.randn(latent_BCHW.shape)
        decoded = model.decode(latent_BCHW).sample
        divide(model.decoder.layers[-1], decoded.std().item())
    with torch.no_grad():
        model.decoder.layers[-1].bias.add_(0.5)  # the decoder maps [0, 1] to [-1, 1]
    return model


def text_encoder() -> nn.Module:
    """Return a two-layer CLIP text model for the tokens of `tokenizer`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(SEED + 2)
    size = len(letters())
    config = CLIPTextConfig(
        vocab_size=size,
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TEXT_LENGTH,
        projection_dim=TEXT_WIDTH,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    return CLIPTextModel(config).eval()


def tokenizer(folder: Path) -> Any:
    """Write and return a CLIP tokenizer that knows single bytes only."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    numbers = {token: number for number, token in enumerate(letters())}
    (folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=TEXT_LENGTH)


def letters() -> list[str]:
    """Return the letters of byte-level BPE, each alone and at the end of a word, and the two marks."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = 256 - len(shown)
    alphabet = [chr(code) for code in shown] + [chr(256 + k) for k in range(hidden)]
    return alphabet + [f"{letter}</w>" for letter in alphabet] + ["<|startoftext|>", "<|endoftext|>"]


@torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
def enliven(model: nn.Module) -> None:
    """Draw weights that keep the signal's size through every layer, with biases that matter."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)


@torch.no_grad()  # type: ignore[untyped-decorator] # torch is not followed
def divide(layer: nn.Module, by: float) -> None:
    """Divide the parameters of a layer, and so its output."""
    for parameter in layer.parameters():
        parameter.div_(by)
