"""Tiny models of all families on disk and loaded, one of each for the whole run."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.painter import Painter
from tests import tiny, tiny_families

MAKERS: dict[str, Callable[..., Path]] = {
    "sdxl": tiny_families.make_sdxl,
    "lcm": tiny_families.make_guided_lcm,
    "sana": tiny_families.make_sana,
}


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return the folder of a tiny model: by family, and by the arguments of its maker."""

    @lru_cache(None)
    def make(family: str, scheduler: str = "", **how: Any) -> Path:
        path = tmp_path_factory.mktemp("family") / family
        if family in MAKERS:
            named = {"scheduler": scheduler} if scheduler else {}
            return MAKERS[family](path, **named, **how)
        folder = tiny.make_folder(path, family, **how)  # type: ignore[arg-type]
        if scheduler:
            kind = how.get("prediction_type", "epsilon")
            spacing = {"timestep_spacing": "trailing"} if scheduler == "DDIMScheduler" else {}
            made = tiny_families.make_scheduler(scheduler, prediction_type=kind, **spacing)
            made.save_pretrained(str(folder / "scheduler"))
            tiny_families.write_json(folder / "model_index.json", scheduler=["diffusers", scheduler])
        return folder

    return make


@pytest.fixture(scope="session")
def family_painter(family_folder: Callable[..., Path]) -> Callable[..., Painter]:
    """Return a tiny model loaded with plain torch."""

    @lru_cache(None)
    def load(family: str, scheduler: str = "", **how: Any) -> Painter:
        folder = family_folder(family, scheduler, **how)
        return load_painter(folder, engine="torch", precision="fp32", size_px=64)

    return load
