"""SANA's control net in the stream batch is diffusers' own, with each frame's scale and hint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SanaControlNetModel, SanaTransformer2DModel, SCMScheduler

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.kits import Kit
from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.nets.sana_control import NAME, Hint, sana_control_network
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.sana_control import sana_additions
from realtime.core.errors import ModelError
from tests import tiny, tiny_families
from tests.pipelines.diffusion.families.vocabulary import Ask, far, noises, stream
from tests.pipelines.diffusion.vocabulary import drawn, picture


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folders of a tiny SANA-Sprint and of its control net."""
    root = tmp_path_factory.mktemp("sana")
    net = tiny_families.make_sana_control()
    net.save_pretrained(str(root / "control"))
    return tiny_families.make_sana(root / "sana"), root / "control"


@pytest.fixture(scope="module")
def controlled(places: tuple[Path, Path]) -> tuple[Painter, Kit, str]:
    folder, control = places
    painter = load_painter(folder, engine="torch", precision="fp32", size_px=64)
    wish = PaintConfig(engine="torch", precision="fp32", size_px=192)
    added = sana_additions([str(control)], painter, wish, lambda sentence: None)
    return painter, painter.kit("control", lambda: added), str(control)


def shown(model: str, scale: float, seed: int, **how: Any) -> Ask:
    return Ask(extras={NAME: [Hint(model, scale, picture(seed, 64, 64))]}, **how)


@torch.no_grad()
def alone(painter: Painter, places: tuple[Path, Path], ask: Ask, scale: float, seed: int) -> torch.Tensor:
    """Paint one frame with diffusers' transformer, control net and scheduler, as its pipelines do."""
    folder, control = places
    transformer = SanaTransformer2DModel.from_pretrained(folder / "transformer")
    net = SanaControlNetModel.from_pretrained(control)
    words = painter.text.embed(ask.prompt)
    context, mask = words.context_1TD, words.more["mask"]
    hint = painter.encode([picture(seed, 64, 64)])
    scheduler, given = SCMScheduler(), noises(painter, ask)
    scheduler.set_timesteps(2, max_timesteps=1.57080, intermediate_timesteps=1.3)
    x = given[:1] * 0.5
    with drawn("schedulers.scheduling_scm", list(given[1:])):
        for angle in scheduler.timesteps[:-1]:
            s = angle.sin() / (angle.cos() + angle.sin())
            size = (s**2 + (1 - s) ** 2).sqrt()
            seen = x / 0.5 * size
            residuals = net(
                seen,
                encoder_hidden_states=context,
                encoder_attention_mask=mask,
                timestep=s[None],
                controlnet_cond=hint,
                conditioning_scale=scale,
            ).controlnet_block_samples
            out = transformer(
                seen,
                encoder_hidden_states=context,
                encoder_attention_mask=mask,
                timestep=s[None],
                guidance=torch.tensor([4.5 * transformer.config.guidance_embeds_scale]),
                controlnet_block_samples=tuple(residuals),
            ).sample
            out = ((1 - 2 * s) * seen + (1 - 2 * s + 2 * s**2) * out) / size * 0.5
            x, clean = scheduler.step(out, angle, x, return_dict=False)
    return clean / 0.5


def test_each_frame_is_steered_by_its_own_hint_and_scale(
    controlled: tuple[Painter, Kit, str], places: tuple[Path, Path]
) -> None:
    painter, kit, model = controlled
    cases = [(0.8, 1), (0.3, 2), (0.8, 2)]
    asks = [shown(model, scale, seed, prompt="sea") for scale, seed in cases]
    mine = stream(painter, asks, kit)
    for one, ask, (scale, seed) in zip(mine, asks, cases, strict=True):
        right = alone(painter, places, ask, scale, seed)
        assert far(one, right) < 2e-4 * float(right.abs().max())
        assert far(one, alone(painter, places, ask, scale + 0.1, seed)) > 2e-3
    assert far(mine[1], mine[2]) > 0.01


def test_a_frame_without_a_hint_is_painted_as_ever(controlled: tuple[Painter, Kit, str]) -> None:
    painter, kit, model = controlled
    steered, plain, off = stream(painter, [shown(model, 1.0, 1), Ask(), shown(model, 0.0, 1)], kit)
    with torch.inference_mode():
        shapes = kit.add_ons[0].shapes(2, 8)
    assert shapes == {f"{NAME}_{k}": (2, 32, 8, 8) for k in range(2)}
    (right,) = stream(painter, [Ask()])
    assert far(plain, right) < 1e-4
    assert far(off, right) < 1e-4
    assert far(steered, right) > 0.01


def test_a_hint_acts_in_its_share_of_the_steps(
    controlled: tuple[Painter, Kit, str], places: tuple[Path, Path]
) -> None:
    painter, kit, model = controlled
    hint = Hint(model, 0.8, picture(1, 64, 64), end=0.5)
    assert [hint.scale_at(index, 2) for index in (0, 1)] == [0.8, 0.0]
    whole, first = stream(painter, [shown(model, 0.8, 1), Ask(extras={NAME: [hint]})], kit)
    (once,) = stream(painter, [Ask(extras={NAME: [Hint(model, 0.8, picture(1, 64, 64), end=0.4)]})], kit)
    assert far(whole, first) > 0.01
    assert far(once, stream(painter, [Ask()])[0]) < 1e-4  # a share that holds no step does nothing


def test_a_hint_is_encoded_once(controlled: tuple[Painter, Kit, str]) -> None:
    painter, kit, model = controlled
    asked = shown(model, 1.0, 1)
    (hint,) = asked.extras[NAME]
    stream(painter, [asked], kit)
    kept = hint.latent_1CHW
    assert kept is not None
    assert far(kept, painter.encode([picture(1, 64, 64)])) == 0.0
    stream(painter, [asked], kit)
    assert hint.latent_1CHW is kept


def test_another_engine_runs_it(places: tuple[Path, Path]) -> None:
    openvino_engine = pytest.importorskip("pipelines.engines.openvino_engine")
    network = sana_control_network(tiny_families.make_sana_control(), "")
    draw = torch.Generator().manual_seed(3)
    sizes = {"b": 2, "t": 300, "h": 8, "w": 8}
    named = {
        spec.name: torch.randn([sizes.get(str(dim), dim) for dim in spec.dims], generator=draw)
        for spec in network.inputs
    }
    named["mask"] = torch.ones(2, 300)
    with torch.inference_mode():
        right = network.module(*(named[spec.name] for spec in network.inputs))
    found = openvino_engine.build(network, precision="fp32").run(**named)
    for spec, one in zip(network.outputs, right, strict=True):
        assert far(found[spec.name], one) < 1e-3


def test_what_does_not_fit_is_told(
    controlled: tuple[Painter, Kit, str], places: tuple[Path, Path], tmp_path: Path
) -> None:
    painter, _, _ = controlled
    wish = PaintConfig(engine="torch", size_px=192)
    tiny_families.make_sana_control(in_channels=4, out_channels=4).save_pretrained(str(tmp_path / "four"))
    with pytest.raises(ModelError, match="four takes latents of 4 channels and words of 32, this model 8"):
        sana_additions([str(tmp_path / "four")], painter, wish, lambda sentence: None)
    shutil.copytree(places[0] / "transformer", tmp_path / "no")
    with pytest.raises(ModelError, match="no is a SanaTransformer2DModel, where a SanaControlNetModel"):
        sana_additions([str(tmp_path / "no")], painter, wish, lambda sentence: None)
    sd = load_painter(tiny.make_folder(tmp_path / "sd", "sd"), engine="torch", size_px=64)
    with pytest.raises(ModelError, match="words of 32, this model 4 and 32"):
        sana_additions([str(places[1])], sd, wish, lambda sentence: None)
