"""An image prompt equals diffusers' own IP-Adapter; its scale is live, its picture is encoded elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModelWithProjection

from pipelines.diffusion import image_encoder
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.nets.image_prompt import Adapter, ImageTokens
from pipelines.diffusion.stage import PaintStage, paint_together
from pipelines.engines import networks
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError, ModelCorrupt, ModelError
from realtime.core.stage import Emitted, StageContext
from tests import tiny
from tests.pipelines.diffusion.vocabulary import ATOL, Oracle, frame, picture

SIDE = 192
TIMEOUT_S = 60.0


class Watched(PaintStage):
    """Keep the latents of what was painted."""

    def __init__(self) -> None:
        super().__init__()
        self.latents: list[torch.Tensor] = []

    def emit(self, finished: Any, pictures: Any) -> list[Emitted]:
        self.latents += [one.latent_1CHW.clone() for one in finished]
        return super().emit(finished, pictures)


def split(file: Path) -> dict[str, dict[str, torch.Tensor]]:
    held = load_file(str(file))
    parts = ("image_proj", "ip_adapter")
    return {part: {k[len(part) + 1 :]: v for k, v in held.items() if k.startswith(part)} for part in parts}


def clip_input(path: Path) -> torch.Tensor:
    """Return what transformers' own preprocessing makes of the file."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return processor(Image.open(path).convert("RGB"), return_tensors="pt").pixel_values


class Adapted:
    """Stand for a UNet of diffusers with an IP-Adapter that is loaded and fed as its pipelines do."""

    def __init__(self, unet: Any, file: Path, path: Path, scale: float) -> None:
        self.unet = networks.sharing_copy(unet)
        self.unet._load_ip_adapter_weights([split(file)], low_cpu_mem_usage=False)
        for processor in self.unet.attn_processors.values():
            if hasattr(processor, "to_k_ip"):
                processor.scale = [scale]
        vision = CLIPVisionModelWithProjection.from_pretrained(file.parent / "image_encoder").eval()
        pixels = clip_input(path)
        self.rows = []
        for one in (pixels, torch.zeros_like(pixels)):
            seen = vision(one, output_hidden_states=True)
            is_plain = "proj.weight" in split(file)["image_proj"]
            self.rows.append(seen.image_embeds if is_plain else seen.hidden_states[-2])
        if is_plain:
            self.rows[1] = torch.zeros_like(self.rows[0])
        self.calls = 0

    def __call__(self, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor) -> Any:
        # The oracle runs the prompt and then, with guidance, the negative prompt.
        seen = self.rows[self.calls % 2 if self.is_guided else 0]
        self.calls += 1
        more: dict[str, Any] = {"added_cond_kwargs": {"image_embeds": [seen[:, None]]}}
        if self.steered_by is not None:
            net, hint = self.steered_by
            down, middle = net(x, t, context, hint, 0.8, return_dict=False)
            more |= {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return self.unet(x, t, context, **more)

    is_guided = False
    steered_by: tuple[Any, torch.Tensor] | None = None


@dataclass
class Atelier:
    folder: Path
    oracle: Oracle
    adapters: dict[str, Path]
    pictures: list[Path]
    made: dict[str, Any]
    reports: list[str]

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def config(self, kind: str = "plain", which: int = 0, **wish: Any) -> PaintConfig:
        plain = {"model": str(self.folder), "engine": "torch", "precision": "fp32", "size_px": SIDE}
        image = {"image_prompt": str(self.pictures[which]), "image_prompt_model": str(self.adapters[kind])}
        return PaintConfig(**{**plain, **image, "prompt": "oil", **wish})

    def open(self, *which: Any, **wish: Any) -> Watched:
        stage = Watched()
        stage.configure(self.config(*which, **wish))
        stage.open(StageContext("one", ManualClock(), self.shared, self.reports.append))
        return stage

    @torch.no_grad()
    def expected(
        self,
        stage: PaintStage,
        seq: int,
        scale: float,
        kind: str = "plain",
        which: int = 0,
        steps: int = 1,
        **more: Any,
    ) -> torch.Tensor:
        unet = Adapted(self.oracle.parts.unet, self.adapters[kind], self.pictures[which], scale)
        unet.is_guided = "guidance_scale" in more
        unet.steered_by = more.pop("steered_by", None)
        oracle = replace(self.oracle, parts=replace(self.oracle.parts, unet=unet))
        timesteps = stage.painter.levels.timesteps(steps, 0.5)
        return oracle.paint(picture(seq, SIDE, SIDE), "oil", timesteps, **more)


@pytest.fixture(scope="module")
def atelier(folder_of: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Atelier:
    folder, place = folder_of("sd"), tmp_path_factory.mktemp("adapters")
    pictures = []
    for k, size in enumerate([(60, 91), (77, 40)]):
        pictures.append(place / f"picture{k}.png")
        cv2.imwrite(str(pictures[-1]), picture(50 + k, *size)[..., ::-1])
    adapters = {kind: tiny.make_image_adapter(place / kind, kind=kind) for kind in ("plain", "plus")}
    return Atelier(folder, Oracle.of(folder), adapters, pictures, {}, [])


def seen(seq: int) -> Any:
    return frame(seq, height=SIDE, width=SIDE)


def off(latent: torch.Tensor, expected: torch.Tensor) -> float:
    return float((latent - expected).abs().max())


def knows_its_picture(stage: Watched) -> None:
    """Let a session whose network was there already encode its picture."""
    stage.process(seen(1))
    stage.painter.build(lambda: None).result(TIMEOUT_S)  # the builder works in order: it is encoded
    stage.latents.clear()


@pytest.mark.parametrize("kind", ["plain", "plus"])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_stream_with_an_image_prompt_is_what_diffusers_paints(
    atelier: Atelier, kind: str, steps: int
) -> None:
    stage = atelier.open(kind, image_prompt_scale=0.6, steps=steps)
    for seq in range(3):
        stage.process(seen(seq))
    while stage.process(None):
        pass
    for seq, latent in enumerate(stage.latents):
        assert off(latent, atelier.expected(stage, seq, 0.6, kind, steps=steps)) < ATOL
    assert off(stage.latents[1], atelier.expected(stage, 1, 0.5, kind, steps=steps)) > 10 * ATOL
    assert off(stage.latents[1], atelier.expected(stage, 1, 0.6, kind, which=1, steps=steps)) > 10 * ATOL


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_the_negative_prompt_attends_to_no_picture_as_in_diffusers(atelier: Atelier, kind: str) -> None:
    stage = atelier.open(kind, guidance="full", guidance_scale=2.0, negative_prompt="dog")
    stage.process(seen(1))
    expected = atelier.expected(stage, 1, 0.6, kind, guidance_scale=2.0, negative="dog")
    assert off(stage.latents[0], expected) < ATOL


def test_the_scale_is_live_and_0_is_as_without(atelier: Atelier) -> None:
    stage, plain = atelier.open(image_prompt_scale=0.0), atelier.open(image_prompt="")
    stage.process(seen(1))
    plain.process(seen(1))
    stage.configure(atelier.config(image_prompt_scale=1.5))
    stage.process(seen(1))
    assert off(stage.latents[0], plain.latents[0]) < ATOL
    assert off(stage.latents[1], atelier.expected(stage, 1, 1.5)) < ATOL


def test_a_control_net_acts_beside_it(atelier: Atelier, tmp_path: Path) -> None:
    folder = tiny.make_control_net(tmp_path / "net")
    stage = atelier.open(control=f"edges:0.8 {folder}")
    stage.process(seen(1))
    edges = np.repeat(cv2.Canny(picture(1, SIDE, SIDE), 100, 200)[None, None], 3, 1)
    steered = ControlNetModel.from_pretrained(folder).eval(), torch.from_numpy(edges).float() / 255
    assert off(stage.latents[0], atelier.expected(stage, 1, 0.6, steered_by=steered)) < ATOL
    assert off(stage.latents[0], atelier.expected(stage, 1, 0.6)) > 10 * ATOL


def test_sessions_with_other_pictures_and_scales_share_a_call(atelier: Atelier) -> None:
    stages = [atelier.open("plain", which, image_prompt_scale=scale) for which, scale in ((0, 0.4), (1, 1.2))]
    for stage in stages:
        knows_its_picture(stage)
    paint_together([(stage, seen(seq)) for seq, stage in enumerate(stages)])
    assert off(stages[0].latents[0], atelier.expected(stages[0], 0, 0.4)) < ATOL
    assert off(stages[1].latents[0], atelier.expected(stages[1], 1, 1.2, which=1)) < ATOL


def test_another_picture_acts_once_it_is_encoded_and_not_before(atelier: Atelier, tmp_path: Path) -> None:
    stage = atelier.open(image_prompt_scale=0.6)
    knows_its_picture(stage)
    kits, gate = len(stage.painter.kits), threading.Event()
    other = tmp_path / "other.png"
    other.write_bytes(atelier.pictures[1].read_bytes())
    stage.painter.build(lambda: gate.wait(TIMEOUT_S))  # the builder is busy
    stage.configure(atelier.config(image_prompt=str(other), image_prompt_scale=0.6))
    stage.process(seen(1))
    gate.set()
    stage.painter.build(lambda: None).result(TIMEOUT_S)
    stage.process(seen(1))
    assert off(stage.latents[0], atelier.expected(stage, 1, 0.6, which=0)) < ATOL
    assert off(stage.latents[1], atelier.expected(stage, 1, 0.6, which=1)) < ATOL
    assert len(stage.painter.kits) == kits  # no other network was built


def test_the_picture_before_stays_while_the_next_one_is_encoded_or_cannot_be_read(
    atelier: Atelier, tmp_path: Path
) -> None:
    atelier.reports.clear()
    stage = atelier.open(image_prompt_scale=0.6)
    knows_its_picture(stage)
    (tmp_path / "text.png").write_text("no picture")
    for wrong in (tmp_path / "none.png", tmp_path / "text.png"):
        stage.configure(atelier.config(image_prompt=str(wrong), image_prompt_scale=0.6))
        stage.process(seen(1))
        stage.painter.build(lambda: None).result(TIMEOUT_S)
        stage.process(seen(1))
        stage.process(seen(1))
    for latent in stage.latents:
        assert off(latent, atelier.expected(stage, 1, 0.6)) < ATOL
    told = [one for one in atelier.reports if "image prompt" in one]
    assert len([one for one in told if "none.png cannot be read" in one]) == 1
    assert len([one for one in told if "text.png is no picture" in one]) == 1


def test_a_picture_without_an_adapter_is_told_once(atelier: Atelier) -> None:
    atelier.reports.clear()
    stage, plain = atelier.open(image_prompt_model=""), atelier.open(image_prompt="")
    for one in (stage, plain):
        one.process(seen(1))
        one.process(seen(1))
    assert len([one for one in atelier.reports if "needs an adapter" in one]) == 1
    assert torch.equal(stage.latents[0], plain.latents[0])


def test_a_picture_is_prepared_as_transformers_does(atelier: Atelier) -> None:
    for path in atelier.pictures:
        assert off(image_encoder.clip_pixels(path, 32), clip_input(path)) < 1e-5


def test_openvino_and_bf16_run_it_too(atelier: Atelier) -> None:
    """The copy that an engine makes in another precision gets its own tokens, not the original's."""
    from pipelines.engines.choose import choose

    unet = tiny.make_unet("sd")
    extension = ImageTokens(Adapter(atelier.adapters["plain"]), 4, tiny.TEXT_DIM)
    network = networks.unet_network(unet, "", [extension])
    draw = torch.Generator().manual_seed(4)
    shapes = {"latent": (1, 4, 8, 8), "emb": (1, 128), "context": (1, 16, 32)}
    example = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    example |= dict(zip(["image_tokens", "image_scale"], extension.example(1, 8), strict=True))
    for wanted, precision in (("torch", "bf16"), ("openvino", "fp32")):
        engine = choose(network, wanted=wanted, precision=precision, example=example)
        assert engine.info.backend == wanted  # its gate compared it with torch


def test_what_does_not_fit_is_refused_with_a_sentence(atelier: Atelier, tmp_path: Path) -> None:
    wide = tiny.make_image_adapter(tmp_path / "wide", tiny.make_unet("sd", block_out_channels=(32, 64)))
    with pytest.raises(ModelError, match=r"does not fit down_blocks\.1.*\(48, 32\)"):
        atelier.open(image_prompt_model=str(wide))
    file = atelier.adapters["plain"]
    few = {key: value for key, value in load_file(str(file)).items() if "adapter.3" not in key}
    (tmp_path / "few").mkdir()
    save_file(few, str(tmp_path / "few" / "few.safetensors"))
    with pytest.raises(ModelError, match="No vision encoder whose projection_dim is 24"):
        atelier.open(image_prompt_model=str(tmp_path / "few"))
    (tmp_path / "few" / "image_encoder").symlink_to(file.parent / "image_encoder")
    with pytest.raises(ModelError, match=r"layers for \d attentions on words, this model has \d"):
        atelier.open(image_prompt_model=str(tmp_path / "few"))
    save_file({"latents.weight": torch.zeros(2)}, str(tmp_path / "few" / "other.safetensors"))
    with pytest.raises(ModelError, match="no image prompt adapter"):
        atelier.open(image_prompt_model=str(tmp_path / "few" / "other.safetensors"))
    with pytest.raises(ModelError, match="holds 2 adapters"):
        atelier.open(image_prompt_model=str(tmp_path / "few"))
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        atelier.open(image_prompt_model=str(tmp_path / "torn.safetensors"))
    with pytest.raises(ConfigError, match="cannot be read"):
        replace(atelier, made={}).open(image_prompt=str(tmp_path / "none.png"))
