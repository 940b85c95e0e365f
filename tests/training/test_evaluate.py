"""The judges of the painter can tell good from bad before they judge it."""

from __future__ import annotations

import numpy as np
from skimage.data import astronaut, chelsea

from training.painter.card import card
from training.painter.data import square
from training.painter.evaluate import features, sheet, structure
from training.painter.styles import STYLES

FACE, CAT = square(astronaut()), square(chelsea())


def test_structure_is_high_for_the_same_scene_and_low_for_another() -> None:
    painted = STYLES["cartoon"](FACE)
    assert structure(FACE, FACE) > 0.999
    assert structure(painted, FACE) > 0.8
    assert structure(painted, CAT) < 0.3


def test_features_see_the_look_more_than_the_scene() -> None:
    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(features(a) - features(b)))

    halftone = STYLES["halftone"]
    assert distance(halftone(FACE), halftone(CAT)) < distance(halftone(FACE), FACE)


def test_a_sheet_holds_every_row() -> None:
    rows = [(f"row {k}", [FACE] * 3) for k in range(5)]
    assert sheet(rows, cell_px=32).shape == (3 * (32 + 18), 2 * 96 + 8, 3)


def test_the_card_tells_every_look_and_every_figure() -> None:
    look = {
        "look": "oil", "title": "Oil", "error": 15.5, "nothing": 24.6, "ratio": 0.63, "ratio_2_steps": 0.7,
        "told": 0.75, "told_target": 1.0, "structure": 0.8, "structure_target": 0.81, "flicker": 0.4,
    }  # fmt: skip
    summary = {
        "looks": 1, "pictures": 12, "looks_nearer_than_nothing": 1, "mean_ratio": 0.63,
        "mean_ratio_2_steps": 0.7,
        "told_apart": 0.75, "told_apart_target": 1.0, "structure": 0.8, "structure_faces": 0.79,
        "flicker": 0.4, "structure_target": 0.81,
        "structure_wrong_picture": 0.05, "photo_error": 9.9, "mood_ratio": 0.31,
        "half_strength_ratio": 0.42,
    }  # fmt: skip
    text = card(summary, [look])
    assert "| Oil | 15.5 | 24.6 | 0.63 | 0.70 | 75% (100%) | 0.80 (0.81) | 0.40 |" in text
    assert "0.42" in text
    assert "{" not in text
