"""The judges of the painter can tell good from bad before they judge it."""

from __future__ import annotations

import numpy as np
from skimage.data import astronaut, chelsea

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
