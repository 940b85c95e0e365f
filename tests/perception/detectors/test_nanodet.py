"""NanoDet-g: how its answer is read, and what it sees on a photo where its weights are here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.detectors.base import Detector
from perception.detectors.coco import NAMES
from perception.detectors.nanodet import NanoDet, candidates, cells, load_nanodet
from realtime.core.errors import ModelCorrupt, ModelMissing

BINS = 11


ENGINES: dict[str, Any] = {}


def shared(key: str, make: Callable[[], Any]) -> Any:
    """Give the engine of a key to all tests here, as streams share it."""
    if key not in ENGINES:
        ENGINES[key] = make()
    return ENGINES[key]


def test_cells_lie_in_the_middle_of_their_squares() -> None:
    grid = cells(416, 416)
    assert grid.shape == (52**2 + 26**2 + 13**2, 3)
    np.testing.assert_allclose(grid[0], [4, 4, 8])
    np.testing.assert_allclose(grid[53], [12, 12, 8])
    np.testing.assert_allclose(grid[52**2], [8, 8, 16])
    np.testing.assert_allclose(grid[-1], [400, 400, 32])


def test_a_side_is_the_mean_of_its_distribution() -> None:
    grid = cells(416, 416)
    scores = np.zeros((len(grid), 80), np.float32)
    distances = np.zeros((len(grid), 4, BINS), np.float32)
    place = 52**2 + 26 * 3 + 5  # middle (88, 56), stride 16
    scores[place, 7], scores[place, 2] = 0.8, 0.5
    for side, (one, other) in enumerate([(1, 2), (0, 0), (10, 10), (3, 4)]):
        distances[place, side, :] = -40
        distances[place, side, [one, other]] = 0
    boxes, found, kinds = candidates(scores, distances.reshape(len(grid), -1), grid, 0.4)
    assert sorted(zip(kinds.tolist(), found.tolist(), strict=True)) == [(2, 0.5), (7, pytest.approx(0.8))]
    np.testing.assert_allclose(boxes, [[88 - 24, 56, 88 + 160, 56 + 56]] * 2, atol=1e-3)


def test_of_too_many_the_surest_are_looked_at() -> None:
    grid = cells(416, 416)
    scores = np.random.default_rng(0).random((len(grid), 80)).astype(np.float32)
    _, found, _ = candidates(scores, np.zeros((len(grid), 4 * BINS), np.float32), grid, 0.0)
    np.testing.assert_array_equal(np.sort(found), np.sort(scores.ravel())[-len(found) :])
    assert len(found) == 1000


def test_without_its_weights_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    with pytest.raises(ModelMissing, match="NanoDet-g is not on this machine") as caught:
        load_nanodet(shared, "auto", print)
    assert "python -m app models fetch nanodet-g" in caught.value.hint
    assert "145 MB" in caught.value.hint


def test_another_network_in_its_place_is_refused(fetched: Callable[[str], Path], tmp_path: Path) -> None:
    from perception.nets.nanodet import nanodet_network

    models = tmp_path / "models"
    models.mkdir()
    for name in ("nanodet.json", "nanodet.bin"):
        content = (fetched("nanodet-g") / "models" / name).read_bytes()
        (models / name).write_bytes(content.replace(b'"676"', b'"675"'))
    with pytest.raises(ModelCorrupt, match="another network"):
        nanodet_network(tmp_path)


@pytest.fixture
def detector(fetched: Callable[[str], Path]) -> NanoDet:
    fetched("nanodet-g")
    return load_nanodet(shared, "openvino", lambda sentence: None, precision="fp32")


def test_it_finds_the_astronaut(detector: Detector) -> None:
    from skimage import data

    photo = data.astronaut()
    found = detector.detect(photo, 0, least_score=0.3, most=20)
    assert found.names == NAMES
    assert NAMES[found.kinds_N[0]] == "person"
    assert found.scores_N[0] == pytest.approx(0.734, abs=0.01)
    np.testing.assert_allclose(found.xyxy_N4[0], [0.03, 0.03, 0.71, 0.99], atol=0.03)
    assert (np.diff(found.scores_N) <= 0).all()


def test_red_and_blue_are_not_exchanged(detector: Detector) -> None:
    from skimage import data

    cat = detector.detect(data.chelsea(), 0, least_score=0.3, most=1)
    assert NAMES[cat.kinds_N[0]] == "cat"
    assert cat.scores_N[0] == pytest.approx(0.574, abs=0.01)
    other = detector.detect(np.ascontiguousarray(data.chelsea()[..., ::-1]), 0, least_score=0.3, most=1)
    assert NAMES[other.kinds_N[0]] == "dog"


def test_what_is_found_follows_the_picture(detector: Detector) -> None:
    from skimage import data

    wide = np.zeros((512, 1024, 3), np.uint8)
    wide[:, 512:] = data.astronaut()
    found = detector.detect(wide, 0, least_score=0.3, most=1)
    assert NAMES[found.kinds_N[0]] == "person"
    np.testing.assert_allclose(found.xyxy_N4[0], [0.515, 0.03, 0.855, 0.99], atol=0.04)


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (33, 57), (1080, 1920)])
def test_black_pictures_of_any_size_are_calm(detector: Detector, size: tuple[int, int]) -> None:
    found = detector.detect(np.zeros((*size, 3), np.uint8), 0, least_score=0.4, most=20)
    assert len(found) == 0
    assert found.xyxy_N4.shape == (0, 4)
