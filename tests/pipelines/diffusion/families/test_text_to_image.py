"""A picture from words alone, out of the stream batch, is the one that diffusers' own pipeline paints."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from pipelines.diffusion.families.base import GUIDANCE
from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.painter import Painter
from tests.pipelines.diffusion.vocabulary import drawn

from .vocabulary import Ask, far, noises, stream

ATOL = 2e-4
Folders = Callable[..., Path]
Painters = Callable[..., Painter]
FROM = {
    "LCMScheduler": "schedulers.scheduling_lcm",
    "TCDScheduler": "schedulers.scheduling_tcd",
    "DDIMScheduler": "schedulers.scheduling_ddim",
    "EulerDiscreteScheduler": "schedulers.scheduling_euler_discrete",
    "EulerAncestralDiscreteScheduler": "schedulers.scheduling_euler_ancestral_discrete",
}


@cache
def pipeline(folder: Path) -> Any:
    found = diffusers.DiffusionPipeline.from_pretrained(str(folder))
    name = type(found).__name__.replace("Img2Img", "")
    found = getattr(diffusers, name)(**found.components)
    found.set_progress_bar_config(disable=True)
    return found


def theirs(painter: Painter, folder: Path, ask: Ask, **more: Any) -> torch.Tensor:
    """Return the latent that diffusers' text-to-image pipeline paints with our noises."""
    pipe, given = pipeline(folder), noises(painter, ask)
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    with drawn(FROM[scheduler["_class_name"]], list(given[1:])):
        found = pipe(
            ask.prompt,
            num_inference_steps=ask.steps,
            height=ask.size_px,
            width=ask.size_px,
            latents=given[:1].clone(),
            output_type="latent",
            **({"guidance_scale": 1.0} | more),
        )
    return found.images


SD_CASES = [
    ("sd", "", "", {}),
    ("sd", "", "", {"prediction_type": "v_prediction"}),
    ("sd", "TCDScheduler", "", {}),
    ("sd", "TCDScheduler", "", {"prediction_type": "v_prediction"}),
    ("sd", "DDIMScheduler", "", {}),
    ("sd", "DDIMScheduler", "", {"prediction_type": "v_prediction"}),
    ("turbo", "EulerDiscreteScheduler", "ddim", {}),
    ("turbo", "EulerAncestralDiscreteScheduler", "ancestral", {}),
    ("sdxl", "EulerAncestralDiscreteScheduler", "ancestral", {}),
    ("sdxl", "LCMScheduler", "", {}),
    ("sdxl", "TCDScheduler", "", {}),
]


@pytest.mark.parametrize(("family", "scheduler", "sampler", "how"), SD_CASES, ids=str)
def test_a_stream_of_words_is_diffusers_text_to_image(
    family_painter: Painters,
    family_folder: Folders,
    family: str,
    scheduler: str,
    sampler: str,
    how: dict[str, Any],
) -> None:
    painter, folder = family_painter(family, scheduler, **how), family_folder(family, scheduler, **how)
    asks = [
        Ask("a red cat", steps=1, sampler=sampler),
        Ask("two dogs", steps=2, sampler=sampler, seed=5),
        Ask("a red cat", steps=4, sampler=sampler),
        # diffusers' DDIM leaves its own list of timesteps where the steps do not divide 1000
        Ask("sea", steps=5 if scheduler == "DDIMScheduler" else 3, sampler=sampler),
    ]
    for ask, mine in zip(asks, stream(painter, asks), strict=True):
        eta = {"eta": 0.3} if scheduler == "TCDScheduler" else {}
        right = theirs(painter, folder, ask, **eta)
        assert right.std() > 0.3
        assert far(mine, right) < ATOL * max(1.0, float(right.abs().max())), ask


@pytest.mark.parametrize("negative", ["", "blue"])
@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_full_guidance_pushes_away_from_the_negative_prompt(
    family_painter: Painters, family_folder: Folders, family: str, negative: str
) -> None:
    painter, folder = family_painter(family, "LCMScheduler"), family_folder(family, "LCMScheduler")
    ask = Ask(steps=2, guidance=Guidance("full", 2.0), negative=negative)
    (mine,) = stream(painter, [ask])
    right = theirs(painter, folder, ask, guidance_scale=2.0, negative_prompt=negative or None)
    tolerance = ATOL * float(right.abs().max())
    assert far(mine, right) < tolerance
    wrong = theirs(painter, folder, ask, guidance_scale=2.0, negative_prompt="green")
    assert far(mine, wrong) > 10 * tolerance


def test_an_lcm_that_takes_guidance_as_an_input_gets_it(
    family_painter: Painters, family_folder: Folders
) -> None:
    painter, folder = family_painter("lcm"), family_folder("lcm")
    asks = [Ask(extras={GUIDANCE: 3.0}), Ask(), Ask(extras={GUIDANCE: 1.0})]
    mine = stream(painter, asks)
    for one, ask, scale in zip(mine, asks, (3.0, 8.5, 1.0), strict=True):
        assert far(one, theirs(painter, folder, ask, guidance_scale=scale)) < ATOL
    assert far(mine[0], theirs(painter, folder, asks[0], guidance_scale=3.1)) > 10 * ATOL
    assert far(mine[0], mine[1]) > 100 * ATOL


def test_sdxl_is_told_the_size(family_painter: Painters, family_folder: Folders) -> None:
    painter, folder = family_painter("sdxl", "LCMScheduler"), family_folder("sdxl", "LCMScheduler")
    asks = [Ask(size_px=96), Ask(size_px=64)]
    for ask, mine in zip(asks, stream(painter, asks), strict=True):
        right = theirs(painter, folder, ask)
        assert far(mine, right) < ATOL
        wrong = theirs(painter, folder, ask, original_size=(128, 128))
        assert far(mine, wrong) > 10 * ATOL
        cropped = theirs(painter, folder, ask, crops_coords_top_left=(16, 0))
        assert far(mine, cropped) > 10 * ATOL
