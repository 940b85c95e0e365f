"""The cell of each token of a frame stands in the committed watcher's tokens, whatever the frame shows."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlavaOnevisionForConditionalGeneration

from training.qa.model import LAYERS, TOKENS, pixels
from training.qa.places import cells, directions, pictures
from training.qa.tune import MIX, made_for
from training.qa.words import KINDS

MODEL = Path(__file__).resolve().parents[3] / "models" / "watcher"


def test_the_stock_class_gives_tokens_that_tell_their_cell() -> None:
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(MODEL, dtype=torch.float32).eval()
    assert tuple(model.config.vision_feature_layer) == LAYERS
    with torch.no_grad():
        tokens = model.model.get_video_features(pixels(pictures(64, seed=9))[:, None]).pooler_output[:, :-1]
        told = (tokens @ directions(model).T).argmax(-1)
    right = (told == torch.arange(TOKENS)).float().mean()
    assert right > 0.9  # by chance 0.11


def test_each_cell_has_four_patches_that_lie_together() -> None:
    grid = cells().unflatten(0, (6, 6))
    assert torch.equal(grid[::2, ::2].flatten(), torch.arange(TOKENS))
    assert torch.equal(grid[::2], grid[1::2])


def test_tuning_asks_for_places_and_forgets_no_kind() -> None:
    assert set(MIX) == set(KINDS)
    made, _ = made_for(3, 0)
    again, _ = made_for(3, 0)
    assert (made.thing_BTK == again.thing_BTK).all()
    told = [KINDS[number] for number in made.kind_BQ.flatten()]
    assert 0.25 < sum(kind.startswith("place") for kind in told) / len(told) < 0.75
