"""A picture painted over, out of the stream batch, is what diffusers' own modules make of it one by one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from pipelines.diffusion import folder as folders
from pipelines.diffusion.families import family_of
from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.painter import Painter
from realtime.core.errors import ModelError
from tests.pipelines.diffusion.vocabulary import drawn, picture
from tests.tiny_families import make_guided_lcm, write_json

from .vocabulary import Ask, far, noises, stream

ATOL = 2e-4
Folders = Callable[..., Path]
Painters = Callable[..., Painter]


@cache
def pipeline(folder: Path) -> Any:
    return diffusers.DiffusionPipeline.from_pretrained(str(folder))


@torch.no_grad()
def alone(painter: Painter, folder: Path, ask: Ask, timesteps: tuple[int, ...]) -> torch.Tensor:
    """Paint one frame alone with diffusers' UNet, text pipeline, autoencoder and LCM scheduler."""
    pipe, given = pipeline(folder), noises(painter, ask)
    scheduler = diffusers.LCMScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(timesteps=list(timesteps))
    numbers = torch.from_numpy(picture(ask.pixels or 0, 64, 64)).permute(2, 0, 1)[None].float() / 127.5 - 1
    clean = pipe.vae.encode(numbers).latents * pipe.vae.config.scaling_factor
    x = scheduler.add_noise(clean, given[:1], torch.tensor(timesteps[:1]))
    sides = [text_of(pipe, ask.prompt, None)]
    if ask.guidance.mode == "full":
        sides.append(text_of(pipe, ask.negative, "negative"))
    with drawn("schedulers.scheduling_lcm", list(given[1:])):
        for t in scheduler.timesteps:
            outs = [pipe.unet(x, t, **side).sample for side in sides]
            out = outs[0] if len(outs) == 1 else outs[1] + ask.guidance.scale * (outs[0] - outs[1])
            x, clean = scheduler.step(out, t, x, return_dict=False)
    return clean


def text_of(pipe: Any, prompt: str, side: str | None) -> dict[str, Any]:
    """Return what the UNet is told of a prompt, by the pipeline's own text code."""
    if not hasattr(pipe, "text_encoder_2"):
        found = pipe.encode_prompt(prompt, "cpu", 1, False)[0]
        more: dict[str, Any] = {}
        if pipe.unet.config.time_cond_proj_dim:
            more["timestep_cond"] = pipe.get_guidance_scale_embedding(
                torch.tensor([7.5]), embedding_dim=pipe.unet.config.time_cond_proj_dim
            )
        return {"encoder_hidden_states": found, **more}
    if side:
        made = pipe.encode_prompt("x", None, "cpu", 1, True, negative_prompt=prompt or None)
        context, pooled = made[1], made[3]
    else:
        context, _, pooled, _ = pipe.encode_prompt(prompt, None, "cpu", 1, False)
    ids = torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]])
    return {
        "encoder_hidden_states": context,
        "added_cond_kwargs": {"text_embeds": pooled, "time_ids": ids},
    }


CASES = [
    ("sd", "LCMScheduler", {"prediction_type": "v_prediction"}),
    ("turbo", "", {}),
    ("sdxl", "", {}),
    ("sdxl", "LCMScheduler", {}),
    ("lcm", "", {}),
]


@pytest.mark.parametrize(("family", "scheduler", "how"), CASES, ids=str)
def test_a_stream_equals_each_frame_painted_alone(
    family_painter: Painters, family_folder: Folders, family: str, scheduler: str, how: dict[str, Any]
) -> None:
    painter, folder = family_painter(family, scheduler, **how), family_folder(family, scheduler, **how)
    asks = [
        Ask("oil", pixels=1, steps=2, strength=0.5),
        Ask("a cat", pixels=2, steps=1, strength=0.5, seed=4),
        Ask("a cat", pixels=3, steps=3, strength=0.7, guidance=Guidance("full", 1.7), negative="dog"),
        Ask("oil", pixels=4, steps=2, strength=0.5, guidance=Guidance("full", 1.7)),
    ]
    for ask, mine in zip(asks, stream(painter, asks), strict=True):
        timesteps = painter.levels.timesteps(ask.steps, ask.strength)  # type: ignore[attr-defined]
        right = alone(painter, folder, ask, timesteps)
        assert right.std() > 0.3
        assert far(mine, right) < ATOL * max(1.0, float(right.abs().max())), ask


def test_a_wrong_knob_is_seen(family_painter: Painters, family_folder: Folders) -> None:
    painter, folder = family_painter("sdxl", ""), family_folder("sdxl", "")
    how = {"pixels": 1, "strength": 0.5, "guidance": Guidance("full", 2.0), "negative": "dog"}
    (mine,) = stream(painter, [Ask("oil", **how)])
    t = painter.levels.timesteps(2, 0.5)  # type: ignore[attr-defined]

    def other(prompt: str = "oil", timesteps: tuple[int, ...] = t, **wrong: Any) -> float:
        return far(mine, alone(painter, folder, Ask(prompt, **(how | wrong)), timesteps))

    assert other() < ATOL
    wrong = {
        "prompt": other("ink"),
        "negative": other(negative="cat"),
        "empty negative": other(negative=""),
        "scale": other(guidance=Guidance("full", 2.1)),
        "seed": other(seed=3),
        "frame": other(pixels=2),
        "level": other(timesteps=tuple(one + 1 for one in t)),
    }
    assert {name: error for name, error in wrong.items() if error <= 5 * ATOL} == {}


def test_the_two_text_encoders_stand_in_their_order(family_painter: Painters, family_folder: Folders) -> None:
    parts = folders.read(family_folder("sdxl", ""))
    mine = family_of(parts).text.embed("oil")
    first, _, pooled, _ = pipeline(family_folder("sdxl", "")).encode_prompt("oil", None, "cpu", 1, False)
    assert far(mine.context_1TD, first) < 1e-5
    assert far(mine.more["pooled"], pooled) < 1e-5
    assert far(mine.context_1TD[..., :32], mine.context_1TD[..., 32:]) > 0.1


def test_a_blend_mixes_the_pooled_text_too(family_painter: Painters) -> None:
    painter = family_painter("sdxl", "")
    oil, cat = (painter.book.look_up(text) for text in ("oil", "cat"))
    mixed = painter.book.look_up("oil:0.25 | cat:0.75")
    assert far(mixed.more["pooled"], 0.25 * oil.more["pooled"] + 0.75 * cat.more["pooled"]) < 1e-6
    rows = [painter.time_row(one, 499.0) for one in (oil, cat, mixed)]
    assert min(far(rows[0], rows[2]), far(rows[1], rows[2])) > 0.01


def test_an_empty_negative_prompt_is_zeros_only_where_the_model_says_so(
    family_folder: Folders, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(family_folder("sdxl", ""), tmp_path / "sdxl"))
    zeros = load_painter(folder, engine="torch", size_px=64).book.words("", "")
    assert float(zeros.negative.context_1TD.abs().max() + zeros.negative.more["pooled"].abs().max()) == 0.0
    assert float(zeros.prompt.context_1TD.abs().max()) > 0.1
    write_json(folder / "model_index.json", force_zeros_for_empty_prompt=False)
    plain = load_painter(folder, engine="torch", size_px=64).book.words("", "")
    assert plain.negative is plain.prompt


def test_size_numbers_may_be_fixed(family_painter: Painters, family_folder: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(family_folder("sdxl", ""), tmp_path / "sdxl"))
    write_json(folder / "vitascope.json", size_ids=[1024, 1024, 0, 0, 1024, 1024])
    fixed, usual = load_painter(folder, engine="torch", size_px=64), family_painter("sdxl", "")
    words = usual.book.look_up("oil")
    assert far(fixed.time_row(fixed.book.look_up("oil"), 499.0), usual.time_row(words, 499.0)) > 0.01
    large = usual.backbone.given(words, 499.0, 128, {})["emb"]
    assert far(fixed.time_row(fixed.book.look_up("oil"), 499.0), large) < 1e-6


def test_the_refiner_is_refused(family_folder: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(family_folder("sdxl", ""), tmp_path / "refiner"))
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(folder / part)
    with pytest.raises(ModelError, match="refiner is SDXL's refiner: it has the second text encoder only"):
        folders.read(folder)


def test_two_text_encoders_need_a_unet_that_reads_them(family_folder: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(family_folder("sdxl", ""), tmp_path / "odd"))
    shutil.rmtree(folder / "unet")
    shutil.copytree(make_guided_lcm(tmp_path / "lcm") / "unet", folder / "unet")
    with pytest.raises(ModelError, match="does not take pooled text"):
        load_painter(folder, engine="torch", size_px=64)


def test_a_sampler_may_be_named_in_the_folder(family_folder: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(family_folder("sd"), tmp_path / "hyper"))
    assert folders.read(folder).levels.sampler == "lcm"
    write_json(folder / "vitascope.json", sampler="tcd", eta=1.0, timesteps={"1": [800], "2": [800, 400]})
    levels = folders.read(folder).levels
    assert (levels.sampler, levels.eta, levels.schedule(1, 0.5)[0].t) == ("tcd", 1.0, 800)
    write_json(folder / "vitascope.json", listed_at=1.0)
    assert folders.read(folder).levels.schedule(1, 1.0)[0].t == 800
    write_json(folder / "vitascope.json", sampler="ddim", spacing="trailing", timesteps={})
    levels = folders.read(folder).levels
    assert [step.t for step in levels.schedule(4, 1.0)] == [999, 749, 499, 249]
    write_json(folder / "vitascope.json", sampler="heun")
    with pytest.raises(ModelError, match='sampler "heun"'):
        folders.read(folder)
