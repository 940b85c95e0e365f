"""Sessions of each family: frames in, pictures out; those of words alone are diffusers' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.stage import StageContext
from tests.pipelines.diffusion.vocabulary import drawn, frame

Folders = Callable[..., Path]
SIZE_PX, LATENT = 192, 24


def painted(folder: Path, told: list[str] | None = None, **wish: Any) -> list[np.ndarray]:
    """Return what a session makes of two frames."""
    stage = PaintStage()
    stage.configure(
        PaintConfig(
            model=str(folder), engine="torch", precision="fp32", size_px=SIZE_PX, prompt="a cat", **wish
        )
    )
    stage.open(StageContext(shared=lambda key, make: make(), report=(told or []).append))
    out = [one for seq in (1, 2) for one in stage.process(frame(seq))]
    while len(out) < 2:
        out += stage.process(None)
    stage.close()
    return [one.value.pixels.astype(int) for one in out]


def noise(channels: int, steps: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn((steps, channels, LATENT, LATENT), generator=draw)


def levels(images: np.ndarray) -> np.ndarray:
    return images[0] * 255.0


def test_sana_paints_words_alone(family_folder: Folders) -> None:
    folder = family_folder("sana")
    given = noise(8, 2)
    pipe = diffusers.SanaSprintPipeline.from_pretrained(str(folder))
    pipe.set_progress_bar_config(disable=True)
    rights = []
    for guidance in (4.5, 2.0):
        with drawn("schedulers.scheduling_scm", list(given[1:])):
            found = pipe(
                "a cat",
                num_inference_steps=2,
                guidance_scale=guidance,
                latents=given[:1].clone(),
                height=SIZE_PX,
                width=SIZE_PX,
                use_resolution_binning=False,
                output_type="np",
            ).images
        rights.append(levels(found))
    usual = painted(folder, start_from="noise", steps=2)
    weak = painted(folder, start_from="noise", steps=2, embedded_guidance=2.0)
    for mine, right in ((usual[0], rights[0]), (usual[1], rights[0]), (weak[0], rights[1])):
        assert np.abs(mine - right).max() < 1.0
    assert np.abs(rights[0] - rights[1]).mean() > 0.5


def test_sdxl_turbo_paints_words_alone(family_folder: Folders) -> None:
    folder = family_folder("sdxl", "")
    given = noise(4, 1)
    pipe = diffusers.AutoPipelineForText2Image.from_pretrained(str(folder))
    pipe.set_progress_bar_config(disable=True)
    found = pipe(
        "a cat",
        num_inference_steps=1,
        guidance_scale=0.0,
        latents=given.clone(),
        height=SIZE_PX,
        width=SIZE_PX,
        output_type="np",
    ).images
    mine = painted(folder, start_from="noise", steps=1)
    assert np.abs(mine[0] - levels(found)).max() < 1.0
    assert np.array_equal(mine[0], mine[1])  # the same words and seed, whatever comes in


@pytest.mark.parametrize("family", ["sana", "sdxl", "lcm"])
def test_each_family_paints_over_what_comes_in(family_folder: Folders, family: str) -> None:
    folder = family_folder(family, "") if family == "sdxl" else family_folder(family)
    one, other = painted(folder, steps=2, strength=0.5)
    assert np.abs(one - other).mean() > 5
    again, _ = painted(folder, steps=2, strength=0.5)
    assert np.array_equal(one, again)
    varied = painted(folder, steps=1, start_from="noise", vary=True)
    assert np.abs(varied[0] - varied[1]).mean() > 5
