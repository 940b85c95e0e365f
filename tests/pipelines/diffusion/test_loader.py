"""From a folder to a painter: every kind that we claim, and a sentence for each that we do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.diffusion import folder as folders
from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.lora_files import fuse_loras
from pipelines.diffusion.painter import Painter
from realtime.core.errors import ConfigError, ModelCorrupt, ModelError
from tests.pipelines.diffusion.vocabulary import ATOL, SIDE, Oracle, picture

Folders = Callable[..., Path]
Load = Callable[..., tuple[Painter, Oracle]]


@pytest.fixture
def sd(folder_of: Folders, tmp_path: Path) -> Path:
    """A copy of a tiny Stable Diffusion that a test may break."""
    return Path(shutil.copytree(folder_of("sd"), tmp_path / "sd"))


def edit(file: Path, **changes: object) -> None:
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.write_text(json.dumps({**known, **changes}), encoding="utf-8")


@pytest.mark.parametrize(("vae", "channels"), [("tiny", 4), ("kl", 4), ("tiny", 32), ("kl", 16)])
def test_latents_and_pictures_are_diffusers_own(painter_of: Load, vae: str, channels: int) -> None:
    painter, oracle = painter_of("sd", vae=vae, channels=channels)
    mine, right = painter.encode([picture(1), picture(2)]), oracle.latent(picture(2))
    assert mine.shape == (2, channels, 8, 8)
    assert (mine[1:] - right).abs().max() < ATOL
    assert abs(painter.decode(right)[0] - oracle.decode(right)).max() < 0.51
    assert torch.equal(painter.encode([picture(1)]), painter.encode([picture(1)]))  # the mode, not a draw


def test_a_latent_outlives_the_next_picture(painter_of: Load) -> None:
    painter, oracle = painter_of("sd")
    with torch.inference_mode():  # as frames are painted
        kept = painter.encode([picture(1)])
        painter.encode([picture(2)])
    assert (kept - oracle.latent(picture(1))).abs().max() < ATOL


def test_a_shift_of_the_latents_is_read(sd: Path) -> None:
    plain = load_painter(sd, engine="torch", size_px=SIDE)
    edit(sd / "vae" / "config.json", shift_factor=0.5)
    shifted = load_painter(sd, engine="torch", size_px=SIDE)
    latents = [p.encode([picture(1)]) for p in (plain, shifted)]
    assert (latents[0] - 0.5 * 0.9 - latents[1]).abs().max() < ATOL
    pictures = [p.decode(z)[0].astype(int) for p, z in zip((plain, shifted), latents, strict=True)]
    assert abs(pictures[0] - pictures[1]).max() <= 1


def test_weights_stored_in_half_precision_are_computed_in_full(sd: Path) -> None:
    for file in sd.glob("*/*.safetensors"):
        half = {name: value.half() for name, value in load_file(file).items()}
        save_file(
            half, file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")), {"format": "pt"}
        )
        file.unlink()
    parts = folders.read(sd)
    kinds = {p.dtype for module in (parts.unet, parts.vae, parts.text_encoder) for p in module.parameters()}
    assert kinds == {torch.float32}
    painter = load_painter(sd, engine="torch", precision="fp32", size_px=SIDE)
    assert painter.encode([picture(0)]).dtype == torch.float32


def test_single_components_need_no_index(sd: Path) -> None:
    (sd / "model_index.json").unlink()
    assert folders.read(sd).channels == 4


def test_turbo_and_lcm_and_listed_levels_are_told_apart(folder_of: Folders) -> None:
    turbo, sd = folders.read(folder_of("turbo")).levels, folders.read(folder_of("sd")).levels
    painter = folders.read(folder_of("painter")).levels
    assert (turbo.timesteps(1, 0.5), turbo.prediction) == ((499,), "epsilon")
    assert turbo.timesteps(4, 1.0) == (999, 749, 499, 249)
    assert sd.timesteps(2, 0.5) == (499, 259)
    assert (painter.timesteps(2, 0.5), painter.prediction) == ((99, 39), "sample")
    assert (sd.translates, painter.translates) == (False, True)


def test_what_vitascope_json_says_of_the_prediction_goes_first(sd: Path) -> None:
    assert folders.read(sd).levels.prediction == "epsilon"
    edit(sd / "vitascope.json", prediction_type="v_prediction")
    assert folders.read(sd).levels.prediction == "v_prediction"


def lora(unet: torch.nn.Module, rank: int = 2) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return a random LoRA of two layers as diffusers names it, and what it adds to each weight."""
    block = "mid_block.attentions.0.transformer_blocks.0"
    state, added = {}, {}
    draw = torch.Generator().manual_seed(1)
    for name in (f"{block}.attn1.to_q", f"{block}.attn2.to_v"):
        rows, columns = unet.get_submodule(name).weight.shape  # type: ignore[misc]
        down, up = torch.randn(rank, columns, generator=draw), torch.randn(rows, rank, generator=draw)
        state |= {f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}
        added[name] = up @ down
    return state, added


def test_a_lora_is_added_into_the_weights(sd: Path) -> None:
    plain = folders.read(sd).unet
    state, added = lora(plain)
    (sd / "lora").mkdir()
    save_file(state, sd / "lora" / "lcm.v1.safetensors")
    edit(sd / "vitascope.json", loras=[{"file": "lora/lcm.v1.safetensors", "scale": 0.7}])
    reports: list[str] = []
    parts = folders.read(sd)
    assert fuse_loras(parts, sd) == ("lcm.v1",)
    for name, layer in plain.named_modules():
        if getattr(layer, "weight", None) is not None:
            fused = parts.unet.get_submodule(name).weight
            expected = layer.weight + 0.7 * added.get(name, torch.zeros(()))
            assert (fused - expected).abs().max() < 1e-5, name
    assert not any(
        "lora" in name for name, _ in parts.unet.named_modules()
    )  # nothing is left to slow it down
    painters = [load_painter(sd, engine="torch", size_px=SIDE, report=reports.append)]
    assert any("lcm.v1 is part of the model" in sentence for sentence in reports)
    (sd / "vitascope.json").unlink()
    painters.append(load_painter(sd, engine="torch", size_px=SIDE))
    assert (painted(painters[0]) - painted(painters[1])).abs().max() > 0.05


def painted(painter: Painter) -> torch.Tensor:
    """Return what the UNet makes of a picture."""
    prompt = painter.book.look_up("oil")
    return painter.plain.run(
        (),
        latent=painter.encode([picture(0)]),
        emb=painter.time_row(prompt, 259),
        context=prompt.context_1TD,
    )


def test_a_lora_in_kohyas_key_names_is_understood(sd: Path) -> None:
    plain = folders.read(sd).unet
    state, added = lora(plain)
    kohya = {}
    for key, value in state.items():
        layer, part = key.removeprefix("unet.").rsplit(".lora_", 1)
        kohya[f"lora_unet_{layer.replace('.', '_')}.lora_{'down' if part[0] == 'A' else 'up'}.weight"] = value
        kohya[f"lora_unet_{layer.replace('.', '_')}.alpha"] = torch.tensor(
            1.0
        )  # half of the rank: half the effect
    save_file(kohya, sd / "kohya.safetensors")
    edit(sd / "vitascope.json", loras=[{"file": "kohya.safetensors"}])
    parts = folders.read(sd)
    fuse_loras(parts, sd)
    for name, change in added.items():
        seen = parts.unet.get_submodule(name).weight - plain.get_submodule(name).weight
        assert (seen - 0.5 * change).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"file": "gone.safetensors"}, "which is not in it"),
        ({"file": "../outside.safetensors"}, "which is not in it"),
    ],
)
def test_a_lora_that_is_not_in_the_folder_is_told(sd: Path, entry: dict[str, object], says: str) -> None:
    save_file({"x": torch.zeros(1)}, sd.parent / "outside.safetensors")
    edit(sd / "vitascope.json", loras=[entry])
    with pytest.raises(ModelCorrupt, match=says):
        load_painter(sd, engine="torch", size_px=SIDE)


def test_a_lora_of_the_text_encoder_is_refused(sd: Path) -> None:
    save_file({"text_encoder.x.lora_A.weight": torch.zeros(2, 2)}, sd / "text.safetensors")
    edit(sd / "vitascope.json", loras=[{"file": "text.safetensors"}])
    with pytest.raises(ModelError, match="text changes text_encoder, and no layer of the unet"):
        load_painter(sd, engine="torch", size_px=SIDE)
    state, _ = lora(folders.read(sd).unet)
    save_file(state | {"text_encoder.x.lora_A.weight": torch.zeros(2, 2)}, sd / "text.safetensors")
    with pytest.raises(ModelError, match="changes text encoder; only LoRAs of the UNet"):
        load_painter(sd, engine="torch", size_px=SIDE)


def test_a_size_that_the_unet_cannot_halve_is_refused(sd: Path) -> None:
    with pytest.raises(ConfigError, match=r"size_px = 72 .*multiple of 16"):
        load_painter(sd, engine="torch", size_px=72)


def test_what_is_missing_cut_short_or_of_another_kind_is_told(sd: Path) -> None:
    weights = sd / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelCorrupt, match=r"sd/unet cannot be loaded"):
        folders.read(sd)
    weights.unlink()
    with pytest.raises(ModelCorrupt, match=r"sd/unet cannot be loaded"):
        folders.read(sd)
    weights.write_bytes(whole)
    edit(sd / "vae" / "config.json", _class_name="AsymmetricAutoencoderKL")
    with pytest.raises(ModelError, match="AsymmetricAutoencoderKL is not supported"):
        folders.read(sd)
    (sd / "scheduler" / "scheduler_config.json").write_text("{", encoding="utf-8")
    edit(sd / "vae" / "config.json", _class_name="AutoencoderTiny")
    with pytest.raises(ModelCorrupt, match=r"scheduler_config.json cannot be read"):
        folders.read(sd)
    shutil.rmtree(sd / "vae")
    with pytest.raises(ModelError, match="no folder vae"):
        folders.read(sd)


def test_channels_that_do_not_fit_are_told(sd: Path, folder_of: Folders) -> None:
    shutil.rmtree(sd / "vae")
    shutil.copytree(folder_of("sd", channels=16) / "vae", sd / "vae")
    with pytest.raises(ModelError, match="takes 4 channels, its autoencoder gives 16"):
        folders.read(sd)


def test_a_closed_painter_encodes_no_more(sd: Path) -> None:
    painter = load_painter(sd, engine="torch", size_px=SIDE)
    painter.close()
    painter.close()
    with pytest.raises(RuntimeError):
        painter.book.later(lambda: None)
