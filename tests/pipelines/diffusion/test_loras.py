"""LoRAs in a session: weights act at once, other files are prepared beside it, what is wrong is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.torch import save_file

from pipelines.diffusion import folder as folders
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.stage import StageContext
from tests import tiny
from tests.pipelines.diffusion.nets.test_lora import lora_of
from tests.pipelines.diffusion.vocabulary import frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tiny.make_folder(tmp_path_factory.mktemp("loras") / "sd", "sd")
    (path / "lora").mkdir()
    for seed, name in enumerate(("ink", "clay")):
        save_file(lora_of(folders.read(path).unet, "sd", seed), path / "lora" / f"{name}.safetensors")
    return path


class Room:
    """Hold one session of the tiny model and what it was told."""

    def __init__(self, folder: Path, shared: dict[str, Any], **wish: Any) -> None:
        self.wish = {"model": str(folder), "engine": "torch", "precision": "fp32", "size_px": 192} | wish
        self.told: list[str] = []
        self.stage = PaintStage()
        self.stage.configure(PaintConfig(**self.wish))

        def share(key: str, make: Callable[[], Any]) -> Any:
            return shared.setdefault(key, None) or shared.__setitem__(key, make()) or shared[key]

        self.stage.open(StageContext(shared=share, report=self.told.append))

    def ask(self, **wish: Any) -> None:
        self.stage.configure(PaintConfig(**(self.wish | wish)))

    def paint(self) -> np.ndarray:
        (out,) = self.stage.process(frame(1, height=192, width=192))
        return out.value.pixels.astype(int)

    def settle(self) -> None:
        """Wait for what is being prepared."""
        self.stage.painter.build(lambda: None).result()


@pytest.fixture(scope="module")
def shared() -> dict[str, Any]:
    return {}


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(abs(one - other).mean())


def test_a_weight_acts_on_the_next_frame_without_a_new_network(folder: Path, shared: dict[str, Any]) -> None:
    room = Room(folder, shared, loras="ink:0.5")
    half, kit = room.paint(), room.stage._fit.kit  # type: ignore[union-attr]
    room.ask(loras="ink:1.0")
    whole = room.paint()
    assert apart(half, whole) > 1.0
    room.ask(loras="ink:0.5")
    assert apart(half, room.paint()) < 0.01
    assert room.stage._fit.kit is kit  # type: ignore[union-attr]
    assert not any("Preparing the new settings" in sentence for sentence in room.told)


def test_other_files_are_prepared_beside_the_session(folder: Path, shared: dict[str, Any]) -> None:
    room = Room(folder, shared)
    plain = room.paint()
    room.ask(loras="ink, clay:0.5")
    room.paint()
    room.settle()
    both = room.paint()
    assert apart(plain, both) > 1.0
    room.ask(loras="clay:0.5, ink:1")  # the order does not matter
    assert apart(both, room.paint()) < 0.01
    room.ask()
    room.paint()
    room.settle()
    assert apart(plain, room.paint()) < 0.01


def test_a_lora_that_is_not_there_is_told_and_the_old_stays(folder: Path, shared: dict[str, Any]) -> None:
    room = Room(folder, shared, loras="ink")
    before = room.paint()
    room.ask(loras="ink, gone")
    room.paint()
    room.settle()
    assert apart(before, room.paint()) < 0.01
    assert any("There is no LoRA gone." in sentence for sentence in room.told)


@pytest.mark.parametrize("text", ["ink:x", "../ink", "ink,ink"])
def test_what_cannot_be_read_is_refused_at_the_door(text: str) -> None:
    with pytest.raises(ValidationError, match="ink"):
        PaintConfig(loras=text)
