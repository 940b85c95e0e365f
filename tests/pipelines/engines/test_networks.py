"""The three networks say what diffusers' own models say, for every kind of model that is taken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel

from pipelines.engines import autoencoder, networks
from pipelines.engines.base import TensorSpec
from realtime.core.errors import ModelError
from tests import tiny

from . import nets

CONTEXT = torch.randn(2, tiny.TEXT_LENGTH, tiny.TEXT_DIM, generator=torch.Generator().manual_seed(1))
LATENT = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(2))
TIMES = torch.tensor([59, 979])


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("painter", {}),
        ("sd", {}),
        ("sd", {"use_linear_projection": True, "only_cross_attention": True}),
        ("sd", {"center_input_sample": True, "time_embedding_act_fn": "silu"}),
        ("painter", {"resnet_time_scale_shift": "scale_shift"}),
    ],
)
def test_the_unet_is_diffusers_unet(kind, changes):
    unet = tiny.make_unet(kind, **changes)
    network = networks.unet_network(unet, "digest")
    with torch.inference_mode():
        theirs = unet(LATENT, TIMES, CONTEXT).sample
        ours = network.module(LATENT, networks.time_embedding(unet, TIMES, CONTEXT), CONTEXT)
    assert theirs.std() > 0.3
    assert (theirs - ours).abs().max() < 1e-5
    assert network.inputs[1] == TensorSpec("emb", "float32", ("b", networks.embedding_size(unet)))
    assert networks.uses_context(unet) == (kind != "painter")


def test_the_pooled_text_enters_through_the_embedding():
    unet = tiny.make_unet("painter")
    module = networks.unet_network(unet, "").module
    one = networks.time_embedding(unet, TIMES, CONTEXT)
    other = networks.time_embedding(unet, TIMES, CONTEXT.flip(0))
    assert (module(LATENT, one, CONTEXT) - module(LATENT, other, CONTEXT)).std() > 0.1
    assert torch.equal(module(LATENT, one, CONTEXT), module(LATENT, one, torch.zeros_like(CONTEXT)))


def test_sdxl_gets_its_pooled_text_and_sizes():
    torch.manual_seed(0)
    wide = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "addition_embed_type_num_heads": 4,
    }
    unet = UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(32, 32),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=tiny.TEXT_DIM,
        attention_head_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + 10,
        **wide,
    ).eval()
    pooled_BP, sizes_B6 = torch.randn(2, 10), torch.full((2, 6), 64.0)
    with torch.inference_mode():
        added = {"text_embeds": pooled_BP, "time_ids": sizes_B6}
        theirs = unet(LATENT, TIMES, CONTEXT, added_cond_kwargs=added).sample
        emb_BE = networks.time_embedding(unet, TIMES, CONTEXT, pooled_BP=pooled_BP, size_ids_B6=sizes_B6)
        ours = networks.unet_network(unet, "").module(LATENT, emb_BE, CONTEXT)
    assert (theirs - ours).abs().max() < 1e-5
    with pytest.raises(ModelError, match="pooled text"):
        networks.time_embedding(unet, TIMES, CONTEXT)


def test_a_unet_with_unknown_inputs_is_refused():
    unet = tiny.make_unet("sd")
    unet.register_to_config(class_embed_type="timestep")
    with pytest.raises(ModelError, match="class_embed_type = 'timestep'"):
        networks.unet_network(unet, "")


@pytest.mark.parametrize("kind", ["tiny", "kl"])
def test_the_autoencoder_is_diffusers_autoencoder(kind):
    vae = tiny.make_vae(kind, channels=16)
    scale, shift = 3.0, 0.25
    encoder = autoencoder.encoder_network(vae, "", scale, shift)
    decoder = autoencoder.decoder_network(vae, "", scale, shift)
    pixels = nets.example(encoder, rows=2)["pixels"]
    with torch.inference_mode():
        encoded = vae.encode(pixels.permute(0, 3, 1, 2) / 127.5 - 1.0)
        latent = encoded.latents if kind == "tiny" else encoded.latent_dist.mode()
        assert (encoder.module(pixels) - (latent - shift) * scale).abs().max() < 1e-4
        theirs = vae.decode(latent * 3).sample
        assert theirs.abs().max() > 1
        levels = (theirs.permute(0, 2, 3, 1) * 127.5 + 127.5).clamp(0, 255)
        ours = decoder.module((latent * 3 - shift) * scale)
        assert ours.dtype == torch.uint8
        assert (ours - levels).abs().max() < 0.501, "to the nearest level"
    assert latent.shape == (2, 16, 8, 8)
    assert encoder.outputs == decoder.inputs
    assert encoder.inputs == decoder.outputs


def test_pixels_of_all_levels_survive_the_way_through():
    class Same(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.none = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.none

    vae = SimpleNamespace(encoder=Same(), decoder=Same(), config=SimpleNamespace(latent_channels=3))
    encoder, decoder = autoencoder.encoder_network(vae, ""), autoencoder.decoder_network(vae, "")
    levels = torch.arange(2 * 128 * 3).reshape(1, 2, 128, 3).remainder(256).to(torch.uint8)
    numbers = encoder.module(levels)
    assert (float(numbers.min()), float(numbers.max())) == (-1.0, 1.0)
    assert torch.equal(decoder.module(numbers), levels)
    assert torch.equal(decoder.module(numbers * 2.0), decoder.module((numbers * 2.0).clamp(-1, 1)))


def test_a_spec_says_what_does_not_fit():
    spec = TensorSpec("latent", "float32", ("b", 4, "h", "w"))
    assert spec.mismatch((7, 4, 1, 99)) == ""
    assert "got the shape (1, 3, 8, 8)" in spec.mismatch((1, 3, 8, 8))
    assert "has 4 dimensions" in spec.mismatch((4, 8, 8))
