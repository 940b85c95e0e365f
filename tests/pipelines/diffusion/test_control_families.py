"""The setting `control` with other families: SDXL's nets are told text and size, SANA's are its own kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.control_rows import NAME
from pipelines.diffusion.features import Features
from pipelines.diffusion.stage import PaintStage
from realtime.core.clock import ManualClock
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests import tiny, tiny_families
from tests.pipelines.diffusion.vocabulary import ATOL, picture, stamp

SIDE = 192
Share = Callable[..., Any]


class Watched(PaintStage):
    """Keep what was in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def emit(self, finished: Any, pictures: Any) -> Any:
        self.seen += finished
        return super().emit(finished, pictures)


def opened(folder: Path, shared: Share, reports: list[str], **wish: Any) -> Watched:
    stage = Watched()
    stage.configure(
        PaintConfig(model=str(folder), engine="torch", precision="fp32", size_px=SIDE, prompt="oil", **wish)
    )
    stage.open(StageContext("one", ManualClock(), shared, reports.append))
    return stage


@pytest.fixture
def shared() -> Share:
    made: dict[str, Any] = {}

    def share(key: str, make: Callable[[], Any]) -> Any:
        if key not in made:
            made[key] = make()
        return made[key]

    return share


def test_a_net_for_sdxl_is_told_the_pooled_text_and_the_size(
    tmp_path: Path, shared: Callable[..., Any]
) -> None:
    folder = tiny_families.make_sdxl(tmp_path / "sdxl")
    net_folder = tiny.make_control_net(tmp_path / "net", tiny_families.make_sdxl_unet())
    stage = opened(folder, shared, [], control=f"edges:0.8 {net_folder}")
    stage.process(Frame(stamp(1), picture(1, SIDE, SIDE)))
    (one,) = stage.seen
    painter, step, words = stage.painter, one.schedule[0], one.words.prompt
    x = step.a * one.reference_1CHW + step.b * one.noise_NCHW[:1]
    edges = np.repeat(cv2.Canny(picture(1, SIDE, SIDE), 100, 200)[None, None], 3, 1)
    hint = torch.from_numpy(edges).float() / 255
    t, context = torch.tensor([step.t]), words.context_1TD
    side = float(SIDE)
    more = {
        "text_embeds": words.more["pooled"],
        "time_ids": torch.tensor([[side, side, 0.0, 0.0, side, side]]),
    }
    net = ControlNetModel.from_pretrained(net_folder).eval()
    with torch.inference_mode():
        down, middle = net(x, t, context, hint, 0.8, added_cond_kwargs=more, return_dict=False)

        def painted(**residuals: Any) -> torch.Tensor:
            out = painter.unet(x, t, context, added_cond_kwargs=more, **residuals).sample
            clean = (x - step.b * out) / step.a
            return step.c_out * clean + step.c_skip * x

        expected = painted(down_block_additional_residuals=down, mid_block_additional_residual=middle)
        without = painted()
    assert float((one.latent_1CHW - expected).abs().max()) < ATOL
    assert float((one.latent_1CHW - without).abs().max()) > 100 * ATOL


def test_sana_nets_are_shown_the_same_maps(tmp_path: Path, shared: Share) -> None:
    reports: list[str] = []
    folder = tiny_families.make_sana(tmp_path / "sana")
    tiny_families.make_sana_control().save_pretrained(str(tmp_path / "net"))
    text = f"depth:0.8@0-0.5 {tmp_path / 'net'}"
    depth = picture(9, SIDE, SIDE)[..., 0].copy()
    frame = Frame(stamp(1), picture(1, SIDE, SIDE), {"depth": depth})
    stage = opened(folder, shared, reports, control=text, steps=2)
    plain = opened(folder, shared, reports, steps=2)
    for one in (stage, plain):
        for _ in range(3):
            one.process(frame)
    (hint,) = stage.seen[0].extras["sana_control"]
    assert NAME not in stage.seen[0].extras
    assert (hint.model, hint.scale, hint.begin, hint.end) == (str(tmp_path / "net"), 0.8, 0.0, 0.5)
    assert np.array_equal(hint.picture[..., 1], depth)
    assert float((stage.seen[0].latent_1CHW - plain.seen[0].latent_1CHW).abs().max()) > 100 * ATOL


def test_the_features_that_add_nothing_ask_for_no_other_network() -> None:
    from pipelines.diffusion.features import network_key

    with_mask, without = (Features().key(PaintConfig(mask=mask)) for mask in ("mask", ""))
    assert with_mask != without
    assert network_key(with_mask) == network_key(without)
