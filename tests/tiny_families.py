"""Tiny random models of the families beside Stable Diffusion 1.x: SDXL, guided LCMs and SANA-Sprint.

As in `tiny`, the real classes of diffusers and transformers, saved as real folders, with weights rescaled so
that a wrong number shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests import tiny

POOLED = 24
CAPTION = 32


def make_sdxl(path: Path, scheduler: str = "EulerAncestralDiscreteScheduler", **how: Any) -> Path:
    """Write an SDXL folder: two text encoders of other widths, pooled text, six size numbers."""
    from diffusers import StableDiffusionXLImg2ImgPipeline

    StableDiffusionXLImg2ImgPipeline(
        vae=tiny.make_vae("tiny"),
        text_encoder=tiny.make_text_encoder(0),
        text_encoder_2=make_second_text_encoder(),
        tokenizer=tiny.make_tokenizer(path / "tokenizer"),
        tokenizer_2=tiny.make_tokenizer(path / "tokenizer_2"),
        unet=make_sdxl_unet(),
        scheduler=make_scheduler(scheduler, **how),
    ).save_pretrained(str(path), safe_serialization=True)
    return path


def make_sdxl_unet() -> Any:
    """Return a UNet with SDXL's inputs."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(3)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(32, 48),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=2 * tiny.TEXT_DIM,
        attention_head_dim=(4, 4),
        use_linear_projection=True,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=POOLED + 6 * 8,
    ).eval()
    tiny._lively(unet)
    added = {"text_embeds": torch.randn(2, POOLED), "time_ids": torch.full((2, 6), 64.0)}
    with torch.inference_mode():
        out = unet(
            torch.randn(2, 4, 8, 8),
            torch.tensor([259, 499]),
            torch.randn(2, tiny.TEXT_LENGTH, 2 * tiny.TEXT_DIM),
            added_cond_kwargs=added,
        ).sample
    tiny._divide(unet.conv_out, out.std().item())
    return unet


def make_second_text_encoder() -> Any:
    """Return a CLIP text model with a projection, of another seed and depth than the first one."""
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(11)
    config = tiny.make_text_encoder(0).config
    config.num_hidden_layers = 3
    config.projection_dim = POOLED
    return CLIPTextModelWithProjection(config).eval()


def make_scheduler(name: str, **how: Any) -> Any:
    """Return a scheduler of Stable Diffusion's noise levels, "trailing" where it knows that."""
    import diffusers

    kind = getattr(diffusers, name)
    wish = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    if "Euler" in name:
        wish["timestep_spacing"] = "trailing"
    return kind(**(wish | how))


def make_guided_lcm(path: Path) -> Path:
    """Write an LCM folder whose UNet takes the guidance scale as an input, as LCM-Dreamshaper's does."""
    from diffusers import LatentConsistencyModelImg2ImgPipeline

    unet = tiny.make_unet("sd", time_cond_proj_dim=16)
    with torch.no_grad():
        unet.time_embedding.cond_proj.weight.mul_(3.0)
    LatentConsistencyModelImg2ImgPipeline(
        vae=tiny.make_vae("tiny"),
        text_encoder=tiny.make_text_encoder(0),
        tokenizer=tiny.make_tokenizer(path / "tokenizer"),
        unet=unet,
        scheduler=tiny.make_scheduler("sd", "epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(str(path), safe_serialization=True)
    return path


def make_sana(path: Path) -> Path:
    """Write a SANA-Sprint folder; pictures are 8 times the latent's size."""
    from diffusers import SanaSprintPipeline, SCMScheduler

    SanaSprintPipeline(
        tokenizer=make_gemma_tokenizer(),
        text_encoder=make_gemma(),
        vae=make_dc_vae(),
        transformer=make_sana_transformer(),
        scheduler=SCMScheduler(),
    ).save_pretrained(str(path), safe_serialization=True)
    return path


def make_gemma_tokenizer() -> Any:
    """Return a Gemma tokenizer that knows single characters only."""
    from transformers import GemmaTokenizer

    marks = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    letters = ["\u2581", *(chr(code) for code in range(33, 127)), "\n"]
    names = {token: i for i, token in enumerate([*marks, *letters])}
    return GemmaTokenizer(vocab=names, merges=[])


def make_gemma() -> Any:
    """Return a two-layer Gemma 2 over the tokenizer of `make_gemma_tokenizer`."""
    from transformers import Gemma2Config, Gemma2Model

    torch.manual_seed(21)
    config = Gemma2Config(
        vocab_size=128,
        hidden_size=CAPTION,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=64,
        max_position_embeddings=4096,
        initializer_range=0.2,
    )
    return Gemma2Model(config).eval()


def make_dc_vae(channels: int = 8) -> Any:
    """Return a deep compression autoencoder: latents of std about 1, pictures of std about 0.4."""
    from diffusers import AutoencoderDC

    torch.manual_seed(22)
    vae: Any = AutoencoderDC(
        latent_channels=channels,
        attention_head_dim=8,
        encoder_block_types=("ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(16, 16, 16, 16),
        decoder_block_out_channels=(16, 16, 16, 16),
        encoder_layers_per_block=(1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        encoder_qkv_multiscales=((), (), (), (5,)),
        decoder_qkv_multiscales=((), (), (), (5,)),
        scaling_factor=0.41407,
    ).eval()
    tiny._lively(vae)
    with torch.inference_mode():
        latent = vae.encode(torch.rand(2, 3, 64, 64) * 2 - 1).latent
        gain = latent.std().item()
        tiny._divide(vae.encoder.conv_out, gain * vae.config.scaling_factor)
        picture = vae.decode(torch.randn(2, channels, 8, 8) / vae.config.scaling_factor).sample
    tiny._divide(vae.decoder.conv_out, picture.std().item() / 0.4)
    return vae


def make_sana_transformer(channels: int = 8, seed: int = 23, **changes: Any) -> Any:
    """Return a three-layer SANA-Sprint transformer; outputs have std about 1."""
    from diffusers import SanaTransformer2DModel

    torch.manual_seed(seed)
    config: dict[str, Any] = {
        "in_channels": channels,
        "out_channels": channels,
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "num_layers": 3,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 16,
        "cross_attention_dim": 32,
        "caption_channels": CAPTION,
        "sample_size": 32,
        "guidance_embeds": True,
        "qk_norm": "rms_norm_across_heads",
    }
    net: Any = SanaTransformer2DModel(**(config | changes)).eval()
    tiny._lively(net)
    if changes.get("guidance_embeds", True):
        with torch.inference_mode():
            out = net(
                torch.randn(2, channels, 8, 8),
                encoder_hidden_states=torch.randn(2, 300, CAPTION),
                timestep=torch.tensor([0.5, 0.9]),
                guidance=torch.tensor([0.45, 0.45]),
            ).sample
        tiny._divide(net.proj_out, out.std().item())
    return net


def write_json(file: Path, **fields: Any) -> None:
    """Write or change a json file."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.write_text(json.dumps(known | fields), encoding="utf-8")


def make_sana_control(**changes: Any) -> Any:
    """Return a two-layer control net for the transformer of `make_sana_transformer`."""
    from diffusers import SanaControlNetModel

    torch.manual_seed(31)
    config: dict[str, Any] = {
        "in_channels": 8,
        "out_channels": 8,
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "num_layers": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 16,
        "cross_attention_dim": 32,
        "caption_channels": CAPTION,
        "sample_size": 32,
    }
    net: Any = SanaControlNetModel(**(config | changes)).eval()
    tiny._lively(net)
    for block in net.controlnet_blocks:
        tiny._divide(block, 3.0)
    return net
