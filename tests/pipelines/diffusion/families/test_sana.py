"""SANA-Sprint out of the stream batch is diffusers' own pipeline, from words and from a picture."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import SanaSprintImg2ImgPipeline, SanaSprintPipeline

from pipelines.diffusion import folder as folders
from pipelines.diffusion.angles import Angles
from pipelines.diffusion.families import family_of
from pipelines.diffusion.families.base import GUIDANCE
from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.kits import Kit
from pipelines.diffusion.painter import Painter
from realtime.core.errors import ModelError
from tests.pipelines.diffusion.vocabulary import drawn, picture
from tests.tiny_families import make_sana_transformer, write_json

from .vocabulary import Ask, far, noises, stream

ATOL = 2e-4
Folders = Callable[..., Path]
Painters = Callable[..., Painter]


@cache
def pipeline(folder: Path, kind: Any = SanaSprintPipeline) -> Any:
    found = kind.from_pretrained(str(folder))
    found.set_progress_bar_config(disable=True)
    return found


def from_words(painter: Painter, folder: Path, ask: Ask, **more: Any) -> torch.Tensor:
    given = noises(painter, ask)
    if ask.steps != 2:
        more = {"intermediate_timesteps": None} | more
    with drawn("schedulers.scheduling_scm", list(given[1:])):
        return pipeline(folder)(
            ask.prompt,
            num_inference_steps=ask.steps,
            height=ask.size_px,
            width=ask.size_px,
            latents=given[:1].clone(),
            use_resolution_binning=False,
            output_type="latent",
            **more,
        ).images


def test_words_alone_become_diffusers_picture(family_painter: Painters, family_folder: Folders) -> None:
    painter, folder = family_painter("sana"), family_folder("sana")
    asks = [
        Ask("a red cat", steps=1),
        Ask("Two Dogs ", steps=2, seed=5),
        Ask("a red cat", steps=4),
        Ask("sea", steps=2, extras={GUIDANCE: 2.0}, size_px=96),
    ]
    for ask, mine in zip(asks, stream(painter, asks), strict=True):
        more = {"guidance_scale": ask.extras.get(GUIDANCE, 4.5)}
        right = from_words(painter, folder, ask, **more)
        assert right.std() > 0.3
        assert far(mine, right) < ATOL * float(right.abs().max()), ask


def test_a_wrong_knob_is_seen(family_painter: Painters, family_folder: Folders) -> None:
    painter, folder = family_painter("sana"), family_folder("sana")
    (mine,) = stream(painter, [Ask()])
    wrong = {
        "prompt": from_words(painter, folder, Ask("a red cap")),
        "seed": from_words(painter, folder, Ask(seed=3)),
        "guidance": from_words(painter, folder, Ask(), guidance_scale=4.6),
        "first angle": from_words(painter, folder, Ask(), max_timesteps=1.56),
        "second angle": from_words(painter, folder, Ask(), intermediate_timesteps=1.29),
        "no instruction": from_words(painter, folder, Ask(), complex_human_instruction=[]),
    }
    assert {name: far(mine, one) for name, one in wrong.items() if far(mine, one) < 5 * ATOL} == {}


def test_a_picture_is_painted_over_as_diffusers_does(
    family_painter: Painters, family_folder: Folders
) -> None:
    painter, folder = family_painter("sana"), family_folder("sana")
    asks = [
        Ask(steps=3, pixels=1, strength=0.6),
        Ask(steps=3, pixels=2, strength=0.6),
        Ask(steps=2, pixels=3, strength=0.5, seed=7),
        Ask("sea", steps=1, pixels=1, strength=0.8),
    ]
    pipe = pipeline(folder, SanaSprintImg2ImgPipeline)
    for ask, mine in zip(asks, stream(painter, asks), strict=True):
        given = noises(painter, ask)
        with (
            drawn("pipelines.sana.pipeline_sana_sprint_img2img", [given[0]]),
            drawn("schedulers.scheduling_scm", list(given[1:])),
        ):
            right = pipe(
                ask.prompt,
                num_inference_steps=ask.steps,
                # diffusers' own strength only leaves out steps; the angle says how much is painted over
                max_timesteps=1.57080 * ask.strength,
                intermediate_timesteps=1.3 * ask.strength if ask.steps == 2 else None,
                strength=1.0,
                image=torch.from_numpy(as_numbers(ask.pixels or 0)),
                height=64,
                width=64,
                use_resolution_binning=False,
                output_type="latent",
            ).images
        assert far(mine, right) < ATOL * float(right.abs().max())
    assert far(*stream(painter, asks[:2])) > 0.1  # the picture shows


def as_numbers(seed: int) -> np.ndarray:
    """Return a picture as pipelines take it, (1, 3, H, W) in 0 to 1."""
    return picture(seed, 64, 64).transpose(2, 0, 1)[None].astype(np.float32) / 255.0


def test_latents_and_pictures_are_diffusers_own(family_painter: Painters, family_folder: Folders) -> None:
    painter, pipe = family_painter("sana"), pipeline(family_folder("sana"))
    mine = painter.encode([picture(1), picture(2)])
    with torch.no_grad():
        theirs = pipe.vae.encode(torch.from_numpy(as_numbers(2)) * 2 - 1).latent * 0.41407
        assert far(mine[1:], theirs) < ATOL * 10
        decoded = pipe.vae.decode(theirs / 0.41407).sample
    pixels = (decoded[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
    assert abs(painter.decode(theirs)[0] - pixels).max() < 0.51


def test_only_the_tokens_that_the_model_reads_are_kept(family_painter: Painters) -> None:
    text = family_painter("sana").text
    short, long = text.embed("a cat"), text.embed("a cat " * 80)
    assert short.context_1TD.shape == long.context_1TD.shape == (1, 300, 32)
    assert short.more["mask"].sum() < 30
    assert long.more["mask"].sum() == 300
    assert (short.cut_tokens, long.cut_tokens > 50) == (0, True)


def test_what_the_mask_hides_is_not_seen(family_painter: Painters) -> None:
    painter = family_painter("sana")
    words = painter.text.embed("a cat")
    given = painter.backbone.given(words, 0.5, 8, {})
    latent = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    one = painter.plain.engine.run(latent=latent, **given)["out"].clone()
    hidden = given["mask"][..., None] == 0
    other = given | {"context": torch.where(hidden, torch.tensor(7.0), given["context"])}
    assert far(one, painter.plain.engine.run(latent=latent, **other)["out"]) < 1e-5
    shown = other | {"mask": torch.ones_like(given["mask"])}
    assert far(one, painter.plain.engine.run(latent=latent, **shown)["out"]) > 0.01


@pytest.mark.parametrize("mode", ["self", "onetime", "full"])
def test_guidance_against_something_works_too(family_painter: Painters, mode: str) -> None:
    painter = family_painter("sana")
    asks = [
        Ask(guidance=Guidance(mode, scale, 0.7), negative="dog", pixels=1, strength=1.0)  # type: ignore[arg-type]
        for scale in (1.0, 1.5)
    ]
    plain, pushed = stream(painter, asks)
    assert far(plain, stream(painter, [Ask(pixels=1)])[0]) < ATOL * 10
    assert pushed.isfinite().all()
    assert far(plain, pushed) > 0.01


def test_angles_are_those_of_the_model() -> None:
    angles = Angles()
    assert angles.angles(1, 1.0) == (1.57080,)
    assert angles.angles(2, 1.0) == (1.57080, 1.3)
    assert angles.angles(2, 0.5) == (0.7854, 0.65)
    assert angles.angles(3, 1.0) == pytest.approx((1.57080, 1.0472, 0.5236))
    (step,) = angles.schedule(1, 0.5)
    assert (step.a, step.b, step.t) == pytest.approx((0.5, 0.5, 0.5), abs=1e-5)
    (noise,) = angles.schedule(1, 1.0)
    assert math.isclose(noise.b, 1.0, abs_tol=1e-5)
    with pytest.raises(ValueError, match="t_index"):
        angles.schedule(1, 1.0, t_index=(50,))
    with pytest.raises(ValueError, match="euler"):
        angles.schedule(1, 1.0, sampler="euler")


def test_a_sana_that_takes_many_steps_is_refused(family_folder: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(family_folder("sana"), tmp_path / "sana"))
    make_sana_transformer(guidance_embeds=False).save_pretrained(str(folder / "transformer"))
    with pytest.raises(ModelError, match="not SANA-Sprint"):
        family_of(folders.read(folder))
    write_json(folder / "scheduler" / "scheduler_config.json", _class_name="DPMSolverMultistepScheduler")
    with pytest.raises(ModelError, match="DPMSolverMultistepScheduler"):
        folders.read(folder)
    write_json(folder / "transformer" / "config.json", _class_name="FluxTransformer2DModel")
    with pytest.raises(ModelError, match="FluxTransformer2DModel, which is not supported"):
        folders.read(folder)


def test_another_engine_runs_it_at_every_size(family_folder: Folders, family_painter: Painters) -> None:
    openvino_engine = pytest.importorskip("pipelines.engines.openvino_engine")
    network = family_of(folders.read(family_folder("sana"))).network("")
    engine = openvino_engine.build(network, precision="fp32")
    painter = family_painter("sana")
    asks = [Ask(steps=1), Ask("sea", steps=1, size_px=96)]
    for one, other in zip(stream(painter, asks, Kit(engine)), stream(painter, asks), strict=True):
        assert far(one, other) < 2e-3 * float(other.abs().max())
