"""The embedded painter on a photograph: each prompt changes it, differently, and its structure stays."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.pictures import apart, square, stacked, to_numbers
from pipelines.diffusion.stage import PaintStage
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests.pipelines.diffusion.vocabulary import picture, stamp

MODEL = Path(__file__).parents[3] / "models" / "painter"
PHOTO = square(skimage.data.astronaut(), 256)


class Easel:
    """Paint the photograph with any settings; the model is loaded once."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}

    def shared(self, key: str, make: Any) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def paint(self, **wish: Any) -> np.ndarray:
        stage = PaintStage()
        stage.configure(PaintConfig(model=str(MODEL), engine="torch", precision="fp32", **wish))
        stage.open(StageContext(shared=self.shared))
        out = list(stage.process(Frame(stamp(0), PHOTO)))
        while not out:
            out += stage.process(None)
        return out[0].value.pixels


@pytest.fixture(scope="module")
def easel() -> Easel:
    return Easel()


def edges(pixels: np.ndarray) -> np.ndarray:
    """Return how much the luma changes around each pixel, at the scale of a few pixels."""
    luma = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 2)
    return np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two pictures' edges: 1 for the same structure, about 0 for unrelated ones."""
    return float(np.corrcoef(edges(one).ravel(), edges(other).ravel())[0, 1])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean difference in grey levels."""
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("prompt", ["pencil sketch", "thermal camera", "watercolor painting", "cartoon"])
def test_a_prompt_changes_the_picture_and_keeps_its_structure(easel: Easel, prompt: str) -> None:
    painted = easel.paint(prompt=prompt)
    assert distance(painted, PHOTO) > 10  # the looks that it learns from: 51, 55, 23, 25
    assert likeness(painted, PHOTO) > 0.6  # those: 0.86, 0.95, 0.87, 0.87, also when blurred
    assert likeness(painted, PHOTO[:, ::-1]) < 0.3  # unrelated structure: those have -0.08 to -0.04


def test_prompts_give_different_pictures_and_synonyms_the_same(easel: Easel) -> None:
    sketch, plan, wash = (easel.paint(prompt=words) for words in ("pencil sketch", "blueprint", "van gogh"))
    assert min(distance(sketch, plan), distance(plan, wash), distance(wash, sketch)) > 10
    assert np.array_equal(wash, easel.paint(prompt="watercolor painting, vivid"))


def test_strength_moves_away_from_the_photograph(easel: Easel) -> None:
    away = [distance(easel.paint(prompt="blueprint", strength=s), PHOTO) for s in (0.0, 0.15, 0.3, 0.5)]
    assert away[0] < 15  # the autoencoder alone
    assert all(later > earlier + 3 for earlier, later in pairwise(away))


@pytest.mark.parametrize("steps", [2, 4])
def test_more_steps_paint_the_same_thing(easel: Easel, steps: int) -> None:
    once, more = easel.paint(prompt="pencil sketch"), easel.paint(prompt="pencil sketch", steps=steps)
    assert distance(once, more) < distance(once, PHOTO) / 2
    assert likeness(more, PHOTO) > 0.6


def test_pixels_are_put_together_and_taken_apart() -> None:
    pictures = [picture(1, 8, 12), np.arange(288, dtype=np.uint8).reshape(8, 12, 3)]
    pictures[0].flags.writeable = False  # as a frame's are
    for some in (pictures[:1], pictures):
        pixels = stacked(some)
        assert pixels.shape == (len(some), 8, 12, 3)
        shown = apart(pixels)
        pixels.zero_()  # as an engine's next run may do
        assert all(np.array_equal(before, after) for before, after in zip(some, shown, strict=True))


def test_numbers_are_from_minus_one_to_one() -> None:
    numbers = to_numbers([picture(1, 8, 12), np.arange(288, dtype=np.uint8).reshape(8, 12, 3)])
    assert numbers.shape == (2, 3, 8, 12)
    assert numbers.is_contiguous()
    assert (float(numbers.min()), float(numbers.max())) == (-1.0, 1.0)
