"""Tiny randomly initialised painters, as real diffusers folders on disk: what tests load in place of weights.

With the default initialisation the signal dies on its way and a grave error reads 2e-4, so weights are
rescaled until every network gives numbers of about unit size; then a wrong seed, step, prompt or scale shows
at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

Kind = Literal["sd", "turbo", "painter"]

TEXT_DIM, TEXT_LENGTH = 32, 16
DEFAULTS: dict[str, dict[str, Any]] = {
    "sd": {"prediction_type": "epsilon", "channels": 4},
    "turbo": {"prediction_type": "epsilon", "channels": 4},
    "painter": {"prediction_type": "sample", "channels": 32},
}


def make_folder(
    path: Path,
    kind: Kind = "painter",
    *,
    prediction_type: str | None = None,
    vae: Literal["tiny", "kl"] = "tiny",
    channels: int | None = None,
    seed: int = 0,
) -> Path:
    """Write a model folder that `StableDiffusionImg2ImgPipeline.from_pretrained` loads, and return it.

    "sd" and "turbo" have text attention and differ in their scheduler; "painter" pools the text into the time
    embedding, has no attention and brings a `vitascope.json`. Pictures are 8 times the latent's size.
    """
    from diffusers import StableDiffusionImg2ImgPipeline

    channels = channels or DEFAULTS[kind]["channels"]
    autoencoder = make_vae(vae, channels, seed)
    pipeline = StableDiffusionImg2ImgPipeline(
        vae=autoencoder,
        text_encoder=make_text_encoder(seed),
        tokenizer=make_tokenizer(path / "tokenizer"),
        unet=make_unet(kind, channels, seed),
        scheduler=make_scheduler(kind, prediction_type or DEFAULTS[kind]["prediction_type"]),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(path), safe_serialization=True)
    if kind == "painter":
        (path / "vitascope.json").write_text(json.dumps(PAINTER_JSON, indent=1), encoding="utf-8")
    return path


PAINTER_JSON: dict[str, Any] = {
    "format": 1,
    "name": "tiny",
    "kind": "translator",
    "about": "Random weights for tests.",
    "prediction_type": "sample",
    "guidance_scale": 1.0,
    "default_size": 64,
    "native_size": 64,
    "usable_sizes": [64, 96, 128],
    "multiple_of": 32,
    "default_steps": 1,
    "timesteps": {"1": [59], "2": [99, 39], "4": [139, 99, 59, 19]},
    "default_prompt": "pencil sketch",
    "looks": [
        {"id": "pencil", "title": "Pencil", "prompt": "pencil sketch", "words": ["pencil sketch", "pencil"]},
        {"id": "oil", "title": "Oil", "prompt": "oil painting", "words": ["oil painting", "oil"]},
    ],
    "moods": {"warm": ["warm"]},
    "strengths": {"slightly": 0.5},
    "synonyms": {"monet": "oil painting"},
}


def make_unet(kind: Kind = "painter", channels: int = 4, seed: int = 0, **changes: Any) -> nn.Module:
    """Return a UNet of about 0.3 M parameters with one downsampling; outputs have std about 1."""
    from diffusers import UNet2DConditionModel

    plain = kind == "painter"
    config: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": 1,
        "block_out_channels": (32, 48),
        "down_block_types": ("DownBlock2D", "DownBlock2D" if plain else "CrossAttnDownBlock2D"),
        "mid_block_type": "UNetMidBlock2D" if plain else "UNetMidBlock2DCrossAttn",
        "up_block_types": ("UpBlock2D" if plain else "CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": TEXT_DIM,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    if plain:
        config |= {"addition_embed_type": "text", "addition_embed_type_num_heads": 4}
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(**(config | changes)).eval()
    _lively(unet)
    latent_BCHW = torch.randn(2, channels, 8, 8)
    with torch.inference_mode():
        out = unet(latent_BCHW, torch.tensor([59, 499]), torch.randn(2, TEXT_LENGTH, TEXT_DIM)).sample
    _divide(unet.conv_out, out.std().item())
    return unet


def make_control_net(path: Path, unet: Any = None, seed: int = 0, **changes: Any) -> Path:
    """Write a control net folder that fits `unet` (default: that of "sd"), and return it.

    Its last layers, zero in a new one, give residuals of about a third of what they are added to.
    """
    from diffusers import ControlNetModel

    torch.manual_seed(seed + 3)
    net = ControlNetModel.from_unet(
        unet or make_unet("sd"),
        conditioning_embedding_out_channels=(8, 8, 8, 16),
        load_weights_from_unet=False,
    )
    net = ControlNetModel(**{**net.config, **changes}).eval()
    _lively(net)
    with torch.inference_mode():
        embed = net.controlnet_cond_embedding
        _divide(embed.conv_out, embed(torch.rand(2, 3, 64, 64)).std(dim=0).mean().item())
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        _divide(layer, 3.0)
    net.save_pretrained(str(path), safe_serialization=True)
    return path


def make_image_adapter(folder: Path, unet: Any = None, kind: str = "plain", seed: int = 0) -> Path:
    """Write an IP-Adapter that fits `unet` (default: that of "sd") with its vision encoder; return its file.

    `kind` is "plain" (4 tokens of one embedding) or "plus" (5 tokens of all parts' embeddings).
    """
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    unet = unet or make_unet("sd")
    torch.manual_seed(seed + 4)
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
            image_size=32, patch_size=8, projection_dim=24,
        )
    ).eval()  # fmt: skip
    _lively(vision)
    vision.save_pretrained(str(folder / "image_encoder"), safe_serialization=True)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape) / shape[-1] ** 0.5

    if kind == "plain":
        held = {"proj.weight": drawn(4 * TEXT_DIM, 24), "proj.bias": drawn(4 * TEXT_DIM)}
    else:
        shapes: dict[str, tuple[int, ...]] = {
            "latents": (1, 5, 64), "proj_in.weight": (64, 48), "proj_in.bias": (64,),
            "proj_out.weight": (TEXT_DIM, 64), "proj_out.bias": (TEXT_DIM,),
        }  # fmt: skip
        for layer in (f"layers.{k}" for k in range(4)):
            shapes |= {
                f"{layer}.0.to_q.weight": (64, 64), f"{layer}.0.to_kv.weight": (128, 64),
                f"{layer}.0.to_out.weight": (64, 64), f"{layer}.1.1.weight": (256, 64),
                f"{layer}.1.3.weight": (64, 256),
            }  # fmt: skip
        held = {name: drawn(*shape) for name, shape in shapes.items()}
    deep = [f"layers.{k}.{name}" for k in range(4) for name in ("0.norm1", "0.norm2", "1.0")]
    for name in ["norm"] if kind == "plain" else ["norm_out", *deep]:
        size = TEXT_DIM if name.startswith("norm") else 64
        held |= {f"{name}.weight": torch.ones(size), f"{name}.bias": torch.zeros(size)}
    state = {f"image_proj.{name}": value for name, value in held.items()}
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for place, name in enumerate(names):
        width = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for part in "kv":
            state[f"ip_adapter.{2 * place + 1}.to_{part}_ip.weight"] = drawn(width, TEXT_DIM)
    save_file(state, str(folder / "adapter.safetensors"))
    return folder / "adapter.safetensors"


def make_vae(vae: Literal["tiny", "kl"] = "tiny", channels: int = 4, seed: int = 0) -> nn.Module:
    """Return an autoencoder: latents of std about 1, pictures of std about 0.4, 8 pixels a latent cell."""
    from diffusers import AutoencoderKL, AutoencoderTiny

    torch.manual_seed(seed + 1)
    if vae == "tiny":
        model: Any = AutoencoderTiny(
            latent_channels=channels,
            encoder_block_out_channels=(16, 16, 16, 16),
            decoder_block_out_channels=(16, 16, 16, 16),
            num_encoder_blocks=(0, 1, 1, 1),
            num_decoder_blocks=(1, 1, 0, 0),
        )
        first, last = model.encoder.layers[-1], model.decoder.layers[-1]
    else:
        model = AutoencoderKL(
            latent_channels=channels,
            block_out_channels=(16, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=8,
        )
        first, last = model.quant_conv, model.decoder.conv_out
    model.eval()
    _lively(model)
    with torch.inference_mode():
        picture_B3HW = torch.rand(2, 3, 64, 64) * 2 - 1
        encoded = model.encode(picture_B3HW)
        latent_BCHW = encoded.latents if vae == "tiny" else encoded.latent_dist.mode()
        _divide(first, latent_BCHW.std().item())
        _divide(last, model.decode(latent_BCHW / latent_BCHW.std()).sample.std().item() / 0.4)
    if vae == "tiny":
        with torch.no_grad():
            last.bias.add_(0.5)  # its decoder maps [0, 1] to [-1, 1]
    model.register_to_config(scaling_factor=0.9)
    return model


def make_text_encoder(seed: int = 0) -> nn.Module:
    """Return a two-layer CLIP text model over the tokenizer of `make_tokenizer`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed + 2)
    size = len(_vocabulary())
    config = CLIPTextConfig(
        vocab_size=size,
        hidden_size=TEXT_DIM,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TEXT_LENGTH,
        projection_dim=TEXT_DIM,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    return CLIPTextModel(config).eval()


def make_tokenizer(folder: Path) -> Any:
    """Write and return a stock CLIPTokenizer that knows single bytes only."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    names = {token: i for i, token in enumerate(_vocabulary())}
    (folder / "vocab.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=TEXT_LENGTH)


def make_scheduler(kind: Kind, prediction_type: str) -> Any:
    """Return the scheduler whose config such a model ships with."""
    from diffusers import EulerDiscreteScheduler, LCMScheduler

    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    if kind == "turbo":
        return EulerDiscreteScheduler(**betas, timestep_spacing="trailing", prediction_type=prediction_type)
    return LCMScheduler(**betas, steps_offset=1, prediction_type=prediction_type)


def _vocabulary() -> list[str]:
    """Return byte-level BPE's 256 letters, alone and at a word's end, and the two marks."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]
    return [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]


@torch.no_grad()
def _lively(model: nn.Module) -> None:
    """Give every layer a gain of about one, also those that are followed by a ReLU."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)


@torch.no_grad()
def _divide(layer: nn.Module, by: float) -> None:
    for parameter in layer.parameters():
        parameter.div_(by)
