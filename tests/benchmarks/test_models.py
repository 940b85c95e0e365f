"""The random model of the comparison: numbers of about unit size, so that an error can be seen."""

from __future__ import annotations

import torch

from benchmarks import _models as models


def test_noise_estimates_have_unit_size_and_depend_on_all_inputs() -> None:
    unet = models.unet()
    assert 12e6 < sum(p.numel() for p in unet.parameters()) < 13e6
    draw = torch.Generator().manual_seed(3)
    latent_BCHW = torch.randn((1, 4, 16, 16), generator=draw)
    texts = torch.randn((2, 1, models.TEXT_LENGTH, models.TEXT_WIDTH), generator=draw)
    with torch.inference_mode():
        out, other_text, other_time = (
            unet(latent_BCHW, torch.tensor([t]), text).sample
            for t, text in ((359, texts[0]), (359, texts[1]), (679, texts[0]))
        )
    assert 0.5 < out.std() < 2.0
    assert (out - other_text).abs().max() > 0.05
    assert (out - other_time).abs().max() > 0.05


def test_the_autoencoder_keeps_the_size_of_a_signal() -> None:
    vae = models.autoencoder()
    draw = torch.Generator().manual_seed(3)
    picture_B3HW = torch.rand((1, 3, 64, 64), generator=draw) * 2 - 1
    with torch.inference_mode():
        latent_BCHW = vae.encode(picture_B3HW).latents
        decoded_B3HW = vae.decode(torch.randn((1, 4, 8, 8), generator=draw)).sample
    assert 0.5 < latent_BCHW.std() < 2.0
    assert 0.5 < decoded_B3HW.std() < 2.0


def test_the_tokenizer_knows_every_byte_once() -> None:
    letters = models.letters()
    assert len(letters) == len(set(letters)) == 514
