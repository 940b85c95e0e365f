"""A LoRA with the scale s at run time is the LoRA fused at s; rows with other scales share a call."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.diffusion import folder as folders
from pipelines.diffusion.families import family_of
from pipelines.diffusion.features import Additions
from pipelines.diffusion.kits import Kit
from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.loras import LORAS, find, weights_of
from pipelines.diffusion.nets.lora import LoraExtension, LoraWeights
from pipelines.diffusion.painter import Painter
from realtime.core.errors import ConfigError, ModelCorrupt, ModelError, ModelMissing
from tests import tiny
from tests.pipelines.diffusion.families.vocabulary import Ask, far, stream
from tests.tiny_families import make_sana, make_sdxl, write_json

ATOL = 1e-4
MAKERS: dict[str, Callable[[Path], Path]] = {
    "sd": lambda path: tiny.make_folder(path, "sd"),
    "sdxl": make_sdxl,
    "sana": make_sana,
}
CHANGED = {
    "unet": (
        "attn1.to_q",
        "attn2.to_v",
        "ff.net.0.proj",
        "resnets.0.conv1",
        "time_emb_proj",
        "conv_shortcut",
    ),
    "transformer": ("attn1.to_q", "attn2.to_out.0", "ff.conv_point"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model with two LoRAs, "ink" and "clay", in its folder `lora`."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            path = MAKERS[kind](tmp_path_factory.mktemp("lora") / kind)
            (path / "lora").mkdir()
            unet = folders.read(path).unet
            save_file(lora_of(unet, kind, 1), path / "lora" / "ink.safetensors")
            save_file(lora_of(unet, kind, 2, rank=3), path / "lora" / "clay.safetensors")
            made[kind] = path
        return made[kind]

    return make


def lora_of(denoiser: Any, kind: str, seed: int, rank: int = 2) -> dict[str, torch.Tensor]:
    """Return a LoRA of linear and convolutional layers, as diffusers names them."""
    prefix = "transformer" if kind == "sana" else "unet"
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for name, layer in denoiser.named_modules():
        if name.endswith(CHANGED[prefix]):
            rows, columns, *kernel = layer.weight.shape
            down = torch.randn(rank, columns, *kernel, generator=draw) / columns**0.5 / 3
            up = torch.randn(rows, rank, *[1] * len(kernel), generator=draw) / 3
            state |= {f"{prefix}.{name}.lora_A.weight": down, f"{prefix}.{name}.lora_B.weight": up}
    assert len(state) >= 2 * len(CHANGED[prefix])
    return state


def live(folder: Path, *names: str) -> tuple[Painter, Kit]:
    """Return the plain model, and its kit with LoRAs beside the weights."""
    painter = load_painter(folder, engine="torch", precision="fp32", size_px=64)
    files = [folder / "lora" / f"{name}.safetensors" for name in names]
    added = Additions((LoraExtension(files),), (LoraWeights(names),))
    return painter, painter.kit(names, lambda: added)


def fused(folder: Path, tmp_path: Path, **scales: float) -> Painter:
    """Return the model with LoRAs made part of its weights."""
    copy = Path(shutil.copytree(folder, tmp_path / f"fused {scales}"))
    loras = [{"file": f"lora/{name}.safetensors", "scale": scale} for name, scale in scales.items()]
    write_json(copy / "vitascope.json", loras=loras)
    return load_painter(copy, engine="torch", precision="fp32", size_px=64)


def ask(**weights: float) -> Ask:
    return Ask(extras={LORAS: weights})


@pytest.mark.parametrize("kind", ["sd", "sdxl", "sana"])
def test_a_scale_at_run_time_is_the_lora_fused_at_it(
    model: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    folder = model(kind)
    painter, kit = live(folder, "ink", "clay")
    wishes = [{"ink": 0.7}, {"ink": 0.7, "clay": -0.4}, {}, {"clay": 1.3}]
    mine = stream(painter, [ask(**wish) for wish in wishes], kit)
    for wish, one in zip(wishes, mine, strict=True):
        (right,) = stream(fused(folder, tmp_path, **wish), [Ask()])
        assert far(one, right) < ATOL * max(1.0, float(right.abs().max())), wish
    assert min(far(mine[0], mine[1]), far(mine[0], mine[2]), far(mine[2], mine[3])) > 0.03
    assert far(mine[2], stream(painter, [Ask()])[0]) < ATOL  # at 0 the model is what it was


def test_the_plain_model_is_left_as_it_was(model: Callable[[str], Path]) -> None:
    folder = model("sd")
    before = {name: value.clone() for name, value in folders.read(folder).unet.state_dict().items()}
    painter, kit = live(folder, "ink")
    (first,) = stream(painter, [Ask()])
    stream(painter, [ask(ink=1.0)], kit)
    assert torch.equal(first, stream(painter, [Ask()])[0])
    module = painter.plain.engine._module.unet  # type: ignore[attr-defined]
    after = module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_change_of_weight_needs_no_new_network(model: Callable[[str], Path]) -> None:
    openvino_engine = pytest.importorskip("pipelines.engines.openvino_engine")
    folder = model("sd")
    painter, plain_kit = live(folder, "ink")
    network = family_of(folders.read(folder)).network(
        "", (LoraExtension([folder / "lora" / "ink.safetensors"]),)
    )
    said: list[str] = []
    engine = openvino_engine.build(network, precision="fp32", report=said.append)
    kit = Kit(engine, plain_kit.add_ons)
    asks = [Ask(steps=1, extras={LORAS: {"ink": weight}}) for weight in (0.0, 0.5, 1.0)]
    mine, right = stream(painter, asks, kit), stream(painter, asks, plain_kit)
    assert len([sentence for sentence in said if sentence.startswith("Building")]) == 1
    for one, other in zip(mine, right, strict=True):
        assert far(one, other) < 2e-3 * float(other.abs().max())
    assert far(mine[0], mine[2]) > 0.03


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_kohyas_names_and_alphas_are_understood(
    model: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    folder = Path(shutil.copytree(model(kind), tmp_path / kind))
    unet = folders.read(folder).unet
    kohya = {}
    for key, value in lora_of(unet, kind, 1).items():
        layer, part = key.removeprefix("unet.").rsplit(".lora_", 1)
        name = f"lora_unet_{layer.replace('.', '_')}"
        kohya[f"{name}.lora_{'down' if part[0] == 'A' else 'up'}.weight"] = value
        kohya[f"{name}.alpha"] = torch.tensor(1.0)  # half of the rank: half the effect
    save_file(kohya, folder / "lora" / "kohya.safetensors")
    painter, kit = live(folder, "ink", "kohya")
    half, whole = stream(painter, [ask(ink=0.5), ask(kohya=1.0)], kit)
    assert far(half, whole) < ATOL * max(1.0, float(half.abs().max()))


def test_a_text_part_is_left_out_and_told(model: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model("sd"), tmp_path / "sd"))
    state = lora_of(folders.read(folder).unet, "sd", 1)
    state["text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"] = torch.zeros(2, 32)
    save_file(state, folder / "lora" / "both.safetensors")
    said: list[str] = []
    painter = load_painter(folder, engine="torch", size_px=64)
    added = Additions((LoraExtension([folder / "lora" / "both.safetensors"], said.append),))
    painter.kit("both", lambda: added)
    assert said == ["The LoRA both acts on the picture only; its text encoder part is left out."]


def test_what_does_not_fit_is_told(model: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model("sd"), tmp_path / "sd"))
    shutil.copy(model("sana") / "lora" / "ink.safetensors", folder / "lora" / "sana.safetensors")
    with pytest.raises(ModelError, match="sana changes transformer, and no layer of the unet"):
        live(folder, "sana")
    wide = {
        name: torch.cat([value, value]) for name, value in lora_of(folders.read(folder).unet, "sd", 1).items()
    }
    save_file(wide, folder / "lora" / "wide.safetensors")
    with pytest.raises(ModelError, match="wide does not fit this model"):
        live(folder, "wide")
    (folder / "lora" / "torn.safetensors").write_bytes(b"no")
    with pytest.raises(ModelCorrupt, match="torn"):
        live(folder, "torn")
    down, up = torch.zeros(2, 32), torch.zeros(128, 2)
    outside = {"lora_A.weight": down, "lora_B.weight": up}
    save_file(
        {f"unet.time_embedding.linear_1.{name}": value for name, value in outside.items()},
        folder / "lora" / "time.safetensors",
    )
    with pytest.raises(ModelError, match=r"time changes time_embedding.linear_1, which cannot be weighted"):
        live(folder, "time")


def test_names_and_weights_are_read() -> None:
    assert weights_of("") == {}
    assert weights_of(" ink:0.8, sub/clay.safetensors ,dots: -1.5,") == {
        "ink": 0.8, "sub/clay": 1.0, "dots": -1.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ink:much", '"much" is no weight'),
        ("ink:5", "weight 5"),
        ("ink:nan", "weight nan"),
        ("../ink", "not the name"),
        ("/etc/ink", "not the name"),
        ("a/../b", "not the name"),
        (":0.5", "not the name"),
        ("ink, ink:0.2", "twice"),
        (",".join(f"l{i}" for i in range(9)), "9 LoRAs are too many"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        weights_of(text)
    assert says in caught.value.message


def test_a_lora_is_found_in_its_places_only(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for path in (own / "ink.safetensors", other / "clay.safetensors", own / "set" / "x.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert find("ink", (own, other)) == (own / "ink.safetensors").resolve()
    assert find("clay", (own, other)).parent.name == "other"
    assert find("set", (own, other)).name == "x.safetensors"
    (own / "out.safetensors").symlink_to(other / "clay.safetensors")
    for name in ("out", "gone"):
        with pytest.raises(ModelMissing, match=f"no LoRA {name}"):
            find(name, (own,))
    with pytest.raises(ModelMissing, match="LCM-LoRA"):
        find("lcm-lora-sd15", (own,))
