"""Control nets in the stream equal diffusers' own, several at once, with scales and shares of the steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.controls import controls_of
from pipelines.diffusion.nets import control as nets
from pipelines.diffusion.stage import PaintStage
from pipelines.engines import networks
from pipelines.engines.base import key_of, shapes_of
from realtime.core.clock import ManualClock
from realtime.core.errors import ModelError
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, StageContext
from tests import tiny
from tests.pipelines.diffusion.vocabulary import ATOL, Oracle, picture, stamp

SIDE = 192
TIMEOUT_S = 60.0


@dataclass
class Steered:
    """Stand for a UNet of diffusers that is steered by control nets, as its pipelines call them."""

    unet: Any
    nets: Sequence[tuple[ControlNetModel, torch.Tensor, Callable[[int], float]]]
    """Net, picture in [0, 1] and the scale at a timestep."""

    def __call__(self, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor) -> Any:
        down: Any = None
        for net, hint, scale in self.nets:
            some, middle = net(x, t, context, hint, scale(int(t)), return_dict=False)
            down = (
                (*some, middle)
                if down is None
                else [a + b for a, b in zip(down, (*some, middle), strict=True)]
            )
        return self.unet(
            x,
            t,
            context,
            down_block_additional_residuals=list(down[:-1]),
            mid_block_additional_residual=down[-1],
        )


class Watched(PaintStage):
    """Keep the latents of what was painted."""

    def __init__(self) -> None:
        super().__init__()
        self.latents: list[torch.Tensor] = []

    def emit(self, finished: Any, pictures: Any) -> list[Emitted]:
        self.latents += [one.latent_1CHW.clone() for one in finished]
        return super().emit(finished, pictures)


@dataclass
class Atelier:
    """Hold a tiny model, two control nets that fit it, and what both painters need."""

    folder: Path
    edges: Path
    depth: Path
    oracle: Oracle
    made: dict[str, Any]
    reports: list[str]

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def config(self, **wish: Any) -> PaintConfig:
        plain = {"model": str(self.folder), "engine": "torch", "precision": "fp32", "size_px": SIDE}
        return PaintConfig(**{**plain, "prompt": "oil", **wish})

    def open(self, **wish: Any) -> Watched:
        stage = Watched()
        stage.configure(self.config(**wish))
        stage.open(StageContext("one", ManualClock(), self.shared, self.reports.append))
        return stage

    def text(self, how: str) -> str:
        return how.replace("EDGES", str(self.edges)).replace("DEPTH", str(self.depth))

    def expected(
        self, stage: PaintStage, frame: Frame, how: str, steps: int = 1, **more: Any
    ) -> torch.Tensor:
        """Return the latent that diffusers' parts paint."""
        timesteps = stage.painter.levels.timesteps(steps, 0.5)
        steered = []
        for one in controls_of(self.text(how)):
            scales = {t: one.scale_at(i, steps) for i, t in enumerate(timesteps)}
            hint = torch.from_numpy(rgb(frame, one.map)).permute(2, 0, 1)[None].float() / 255
            net = ControlNetModel.from_pretrained(one.model).eval()
            steered.append((net, hint, scales.__getitem__))
        parts = replace(self.oracle.parts, unet=Steered(self.oracle.parts.unet, steered))
        return replace(self.oracle, parts=parts).paint(frame.pixels, "oil", timesteps, **more)


def rgb(frame: Frame, name: str) -> np.ndarray:
    if name in frame.maps:
        array = frame.maps[name]
        grey = array if array.dtype == np.uint8 else np.round(array * 255).astype(np.uint8)
    else:
        grey = cv2.Canny(frame.pixels, 100, 200)
    return np.repeat(grey[:, :, None], 3, 2)


def seen(seq: int) -> Frame:
    """Return a frame with a map "depth" of its own."""
    depth = picture(100 + seq, SIDE, SIDE).mean(2).astype(np.float32) / 255
    return Frame(stamp(seq), picture(seq, SIDE, SIDE), {"depth": depth})


@pytest.fixture(scope="module")
def atelier(folder_of: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Atelier:
    folder, place = folder_of("sd"), tmp_path_factory.mktemp("nets")
    return Atelier(
        folder,
        tiny.make_control_net(place / "edges net", seed=1),
        tiny.make_control_net(place / "depth", seed=2),
        Oracle.of(folder),
        {},
        [],
    )


def drained(stage: PaintStage) -> list[Emitted]:
    out: list[Emitted] = []
    while some := stage.process(None):
        out += some
    return out


def off(latent: torch.Tensor, expected: torch.Tensor) -> float:
    return float((latent - expected).abs().max())


@pytest.mark.parametrize(
    ("how", "steps"),
    [
        ("edges:0.8 EDGES", 1),
        ("edges:0.8 EDGES | depth:0.5 DEPTH", 2),
        ("depth:1@0-0.5 DEPTH", 2),
        ("edges:0.5 EDGES | depth:0.7 EDGES", 1),
    ],
)
def test_a_steered_stream_is_what_diffusers_paints(atelier: Atelier, how: str, steps: int) -> None:
    stage = atelier.open(control=atelier.text(how), steps=steps)
    frames = [seen(seq) for seq in range(3)]
    out = [e for one in frames for e in stage.process(one)] + drained(stage)
    assert [e.stamp.seq for e in out] == [0, 1, 2]
    for frame, latent in zip(frames, stage.latents, strict=True):
        assert off(latent, atelier.expected(stage, frame, how, steps)) < ATOL
    latent = stage.latents[1]
    wrong = how.replace(":0.8", ":0.7").replace(":1@", ":0.9@").replace(":0.5 E", ":0.4 E")
    assert off(latent, atelier.expected(stage, frames[1], wrong, steps)) > 10 * ATOL
    if "depth" in how:
        other = Frame(frames[1].stamp, frames[1].pixels, {"depth": frames[2].maps["depth"]})
        assert off(latent, atelier.expected(stage, other, how, steps)) > 10 * ATOL


def test_the_negative_prompt_is_steered_too(atelier: Atelier) -> None:
    how = "edges:0.8 EDGES"
    wish = {"guidance": "full", "guidance_scale": 2.0, "negative_prompt": "dog"}
    stage = atelier.open(control=atelier.text(how), **wish)
    stage.process(seen(1))
    expected = atelier.expected(stage, seen(1), how, guidance_scale=2.0, negative="dog")
    assert off(stage.latents[0], expected) < ATOL


def test_the_scale_is_live_and_0_is_as_without(atelier: Atelier) -> None:
    stage, plain = atelier.open(control=atelier.text("edges:0 EDGES")), atelier.open()
    kits = len(stage.painter.kits)
    stage.process(seen(1))
    stage.configure(atelier.config(control=atelier.text("edges:0.8 EDGES")))
    stage.process(seen(1))
    plain.process(seen(1))
    assert torch.equal(stage.latents[0], plain.latents[0])
    assert off(stage.latents[1], atelier.expected(stage, seen(1), "edges:0.8 EDGES")) < ATOL
    assert off(stage.latents[1], stage.latents[0]) > 100 * ATOL
    assert len(stage.painter.kits) == kits  # no other network was built


def test_another_net_is_loaded_beside_the_running_session(atelier: Atelier) -> None:
    stage = atelier.open(control=atelier.text("edges:0.8 EDGES"))
    stage.process(seen(1))
    stage.configure(atelier.config(control=atelier.text("depth:0.8 DEPTH")))
    stage.process(seen(1))  # begins to load it
    stage.painter.build(lambda: None).result(TIMEOUT_S)  # the builder works in order: it is ready
    stage.process(seen(1))
    before, _, after = stage.latents
    assert off(before, atelier.expected(stage, seen(1), "edges:0.8 EDGES")) < ATOL
    assert off(after, atelier.expected(stage, seen(1), "depth:0.8 DEPTH")) < ATOL


def test_a_frame_without_the_map_is_told_once_and_painted_without(atelier: Atelier) -> None:
    atelier.reports.clear()
    stage, plain = atelier.open(control=atelier.text("depth:0.8 DEPTH | flow:1 EDGES")), atelier.open()
    bare = Frame(stamp(1), picture(1, SIDE, SIDE), {"flow": np.zeros((4, 4, 2), np.float32)})
    for _ in range(3):
        stage.process(bare)
    told = [one for one in atelier.reports if "No stage made a map" in one]
    assert sorted(one.split('"')[1] for one in told) == ["depth", "flow"]
    plain.process(bare)
    assert torch.equal(stage.latents[0], plain.latents[0])


def test_two_sessions_share_the_call_and_each_has_its_own_map(atelier: Atelier) -> None:
    from pipelines.diffusion.stage import paint_together

    how = {"one": "depth:0.8 DEPTH", "two": "depth:0.3 DEPTH"}
    stages = [atelier.open(control=atelier.text(one)) for one in how.values()]
    frames = [seen(1), seen(2)]
    paint_together(list(zip(stages, frames, strict=True)))
    for stage, frame, text in zip(stages, frames, how.values(), strict=True):
        assert off(stage.latents[0], atelier.expected(stage, frame, text)) < ATOL


def test_one_step_of_the_unet_is_diffusers_within_the_tolerance() -> None:
    unet = tiny.make_unet("sd")
    draw = torch.Generator().manual_seed(3)
    latent, context = (torch.randn(shape, generator=draw) for shape in ((2, 4, 8, 8), (2, 16, 32)))
    extension = nets.ControlInputs(nets.residuals_of(unet))
    given = extension.example(2, 8)
    times = torch.tensor([59, 979])
    with torch.inference_mode():
        theirs = unet(
            latent, times, context,
            down_block_additional_residuals=list(given[:-1]), mid_block_additional_residual=given[-1],
        ).sample  # fmt: skip
        network = networks.unet_network(unet, "", [extension])
        ours = network.module(latent, networks.time_embedding(unet, times, context), context, *given)
        plain = unet(latent, times, context).sample
    assert float((theirs - ours).abs().max()) < ATOL
    assert float((plain - ours).abs().max()) > 100 * ATOL
    named = dict(
        zip(
            [spec.name for spec in network.inputs],
            (latent, torch.zeros(2, 128), context, *given),
            strict=True,
        )
    )
    assert key_of(network, shapes_of(named))
    assert extension._given == ()


def sdxl() -> tuple[Any, Mapping[str, torch.Tensor]]:
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 6 * 4 + 10,
    }
    draw = torch.Generator().manual_seed(3)
    more = {"text_embeds": torch.randn(2, 10, generator=draw), "time_ids": torch.full((2, 6), 64.0)}
    return UNet2DConditionModel(**{**tiny.make_unet("sd").config, **added}), more


@pytest.mark.parametrize("is_xl", [False, True])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_net_itself_is_diffusers(tmp_path: Path, is_xl: bool, order: str) -> None:
    unet, more = sdxl() if is_xl else (tiny.make_unet("sd"), {})
    folder = tiny.make_control_net(tmp_path / "net", unet, controlnet_conditioning_channel_order=order)
    net = nets.read_control_net(folder)
    draw = torch.Generator().manual_seed(4)
    shapes = ((2, 4, 8, 8), (2, 16, 32), (2, 3, 64, 64))
    latent, context, hint = (torch.rand(shape, generator=draw) for shape in shapes)
    times = torch.tensor([59, 979])
    with torch.inference_mode():
        down, middle = net(latent, times, context, hint, 1.0, added_cond_kwargs=more, return_dict=False)
        emb = networks.time_embedding(
            net, times, context, pooled_BP=more.get("text_embeds"), size_ids_B6=more.get("time_ids")
        )
        network = nets.control_network(net, "digest")
        ours = network.module(latent, emb, context, hint)
    for theirs, mine, spec in zip((*down, middle), ours, network.outputs, strict=True):
        assert float((theirs - mine).abs().max()) < ATOL
        assert float(theirs.std()) > 0.1
        assert spec.mismatch(tuple(mine.shape)) == ""
    shapes_said = [one.shape(2, 8) for one in nets.residuals_of(net)]
    assert shapes_said == [tuple(one.shape) for one in ours]


def test_openvino_runs_a_control_net_and_the_unet_that_it_steers(atelier: Atelier) -> None:
    pytest.importorskip("openvino")
    net = nets.read_control_net(atelier.edges)
    from pipelines.engines.choose import choose

    draw = torch.Generator().manual_seed(4)
    shapes = {"latent": (1, 4, 8, 8), "emb": (1, 128), "context": (1, 16, 32), "hint": (1, 3, 64, 64)}
    example = {name: torch.rand(shape, generator=draw) for name, shape in shapes.items()}
    engine = choose(nets.control_network(net, ""), wanted="openvino", precision="fp32", example=example)
    assert engine.info.backend == "openvino"  # its gate compared it with torch
    extension = nets.ControlInputs(nets.residuals_of(net))
    network = networks.unet_network(tiny.make_unet("sd"), "", [extension])
    given = zip(extension.inputs, extension.example(1, 8), strict=True)
    more = {spec.name: tensor for spec, tensor in given}
    example = {**{name: example[name] for name in ("latent", "emb", "context")}, **more}
    assert choose(network, wanted="openvino", precision="fp32", example=example).info.backend == "openvino"


def test_what_is_no_fitting_net_is_refused_with_a_sentence(atelier: Atelier, tmp_path: Path) -> None:
    wide = tiny.make_control_net(tmp_path / "wide", tiny.make_unet("sd", block_out_channels=(32, 64)))
    with pytest.raises(ModelError, match="another kind of model"):
        atelier.open(control=f"edges {wide}")
    with pytest.raises(ModelError, match="two kinds"):
        atelier.open(control=f"edges {wide} | depth {atelier.depth}")
    with pytest.raises(ModelError, match="latents of 8 channels"):
        atelier.open(control=f"edges {tiny.make_control_net(tmp_path / 'eight', in_channels=8)}")
    with pytest.raises(ModelError, match="is UNet2DConditionModel"):
        atelier.open(control=f"edges {atelier.folder / 'unet'}")
    with pytest.raises(ModelError, match="no folder"):
        atelier.open(control=f"edges {tmp_path / 'none'}")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_text(json.dumps({"_class_name": "ControlNetModel"}))
    with pytest.raises(ModelError, match="torn cannot be loaded"):
        atelier.open(control=f"edges {tmp_path / 'torn'}")
    pooled = tiny.make_control_net(tmp_path / "pooled", global_pool_conditions=True)
    with pytest.raises(ModelError, match="global_pool_conditions"):
        atelier.open(control=f"edges {pooled}")
