"""Tiny painters on disk and loaded, one of each kind for the whole run."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.painter import Painter
from tests.pipelines.diffusion.vocabulary import SIDE, Oracle
from tests.tiny import make_folder


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return the folder of a tiny model, by the arguments of `make_folder`."""

    @lru_cache(None)
    def make(kind: str = "painter", **how: object) -> Path:
        return make_folder(tmp_path_factory.mktemp("model") / kind, kind, **how)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def painter_of(folder_of: Callable[..., Path]) -> Callable[..., tuple[Painter, Oracle]]:
    """Return a tiny model loaded with plain torch, and the oracle of the same folder."""

    @lru_cache(None)
    def load(kind: str = "painter", **how: object) -> tuple[Painter, Oracle]:
        folder = folder_of(kind, **how)
        return load_painter(folder, engine="torch", precision="fp32", size_px=SIDE), Oracle.of(folder)

    return load
