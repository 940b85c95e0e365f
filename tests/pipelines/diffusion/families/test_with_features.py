"""LoRAs together with what else changes the network, for each family; what a family cannot have is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from pipelines.diffusion import folder as folders
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.stage import StageContext
from tests.pipelines.diffusion.nets.test_lora import lora_of
from tests.pipelines.diffusion.vocabulary import frame

FEATURES: dict[str, dict[str, Any]] = {
    "memory": {"memory": 0.5},
    "cross_frame": {"cross_frame": 0.5},
    "reuse": {"reuse_interval": 2},
}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("family", ["sd", "sdxl", "sana"])
def test_a_lora_goes_with_it(
    family_folder: Callable[..., Path], tmp_path: Path, family: str, feature: str
) -> None:
    folder = family_folder(family, "") if family == "sdxl" else family_folder(family)
    save_file(lora_of(folders.read(folder).unet, family, 1), tmp_path / "ink.safetensors")
    told: list[str] = []
    stage = PaintStage()
    stage.configure(
        PaintConfig(
            model=str(folder), engine="torch", precision="fp32", size_px=192, skip_still=False,
            loras="ink:0.7", lora_folder=str(tmp_path), **FEATURES[feature],
        )
    )  # fmt: skip
    stage.open(StageContext(shared=lambda key, make: make(), report=told.append))
    out = [one.value.pixels.astype(int) for seq in (1, 2) for one in stage.process(frame(seq))]
    assert abs(out[0] - out[1]).mean() > 2
    added = [add_on.name for add_on in stage._fit.kit.add_ons]  # type: ignore[union-attr]
    stage.close()
    assert added == (["lora"] if family == "sana" else ["lora", feature])
    assert any(sentence.startswith("This model") for sentence in told) == (family == "sana")
