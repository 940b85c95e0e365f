"""BlazeFace: how its answer is read, and what it sees on a photo where its weights are here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.detectors.base import Detector
from perception.detectors.blazeface import BlazeFace, anchors, is_whole, joined, load_blazeface, told, views
from realtime.core.errors import ModelCorrupt, ModelMissing

SIDE = 128


ENGINES: dict[str, Any] = {}


def shared(key: str, make: Callable[[], Any]) -> Any:
    """Give the engine of a key to all tests here, as streams share it."""
    if key not in ENGINES:
        ENGINES[key] = make()
    return ENGINES[key]


def test_anchors_are_two_on_the_fine_grid_and_six_on_the_coarse() -> None:
    found = anchors()
    assert found.shape == (896, 2)
    np.testing.assert_allclose(found[:4] * SIDE, [[4, 4], [4, 4], [12, 4], [12, 4]])
    np.testing.assert_allclose(found[512:519] * SIDE, [[8, 8]] * 6 + [[24, 8]])
    np.testing.assert_allclose(found[-1] * SIDE, [120, 120])


def answer(**said: tuple[float, list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return an answer in which anchors, by number, say a logit and middle, width and height."""
    places, logits = np.zeros((896, 16), np.float32), np.full(896, -100.0, np.float32)
    for name, (logit, numbers) in said.items():
        places[int(name[1:]), :4], logits[int(name[1:])] = numbers, logit
    return places, logits


def test_boxes_are_told_from_their_anchors() -> None:
    places, logits = answer(a0=(2.0, [10, 20, 8, 6]), a895=(0.0, [-20, -30, 10, 40]), a5=(-3, [0, 0, 9, 9]))
    boxes, scores = told(places, logits, anchors(), SIDE, 0.3)
    np.testing.assert_allclose(boxes, [[10, 21, 18, 27], [95, 70, 105, 110]], atol=1e-4)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2.0)), 0.5], atol=1e-6)


def test_boxes_on_one_another_become_their_mean() -> None:
    places, logits = answer(
        a0=(1.0, [20, 20, 20, 20]), a1=(0.0, [24, 20, 20, 20]), a500=(3.0, [0, 0, 10, 10])
    )
    boxes, scores = joined(*told(places, logits, anchors(), SIDE, 0.3))
    assert len(boxes) == 2
    first, second = 1 / (1 + np.exp(-1.0)), 0.5
    moved = 4 * second / (first + second)
    np.testing.assert_allclose(boxes[1], [14 + moved, 14, 34 + moved, 34], atol=1e-4)
    assert scores[1] == pytest.approx(first)


def test_without_its_weights_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    with pytest.raises(ModelMissing, match="BlazeFace is not on this machine") as caught:
        load_blazeface(shared, "auto", print)
    assert "python -m app models fetch blazeface" in caught.value.hint


def test_a_torn_file_in_its_place_is_refused(tmp_path: Path) -> None:
    from perception.nets.blazeface import FILE, blazeface_network

    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_bytes(b"\x1c\0\0\0TFL3")
    with pytest.raises(ModelCorrupt, match="no network that can be read"):
        blazeface_network(tmp_path)


@pytest.fixture
def detector(fetched: Callable[[str], Path]) -> BlazeFace:
    fetched("blazeface")
    return load_blazeface(shared, "openvino", lambda sentence: None, precision="fp32")


def test_it_finds_the_astronauts_face(detector: Detector) -> None:
    from skimage import data

    found = detector.detect(data.astronaut(), 0, least_score=0.5, most=20)
    assert found.names == ("face",)
    assert found.scores_N == pytest.approx([0.9226], abs=0.002)  # what LiteRT says of the same file
    np.testing.assert_allclose(found.xyxy_N4, [[0.348, 0.158, 0.532, 0.342]], atol=0.004)


@pytest.mark.parametrize("left", [0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("is_wide", [True, False])
def test_a_face_is_found_in_a_wide_picture(detector: Detector, left: float, is_wide: bool) -> None:
    """Wherever squares are cut, a face is found once, and whole."""
    from skimage import data

    long, short = 910, 512
    picture = np.full((short, long, 3) if is_wide else (long, short, 3), 90, np.uint8)
    start = round(left * (long - short))
    part = picture[:, start : start + short] if is_wide else picture[start : start + short]
    part[:] = data.astronaut()
    (box,) = detector.detect(picture, 0, least_score=0.5, most=20).xyxy_N4
    scale, moved = short / long, start / long
    expected = np.array([0.348, 0.158, 0.532, 0.342])
    along = expected[[0, 2] if is_wide else [1, 3]] * scale + moved
    expected[[0, 2] if is_wide else [1, 3]] = along
    np.testing.assert_allclose(box, expected, atol=0.025)


@pytest.mark.parametrize(
    ("size", "count"),
    [((512, 512), 1), ((640, 480), 2), ((1280, 720), 3), ((720, 1280), 3), ((2000, 100), 1)],
)
def test_views_are_squares_that_cover_the_picture(size: tuple[int, int], count: int) -> None:
    found = views(*size)
    assert len(found) == count
    seen = np.zeros(size[::-1], int)
    for left, top, right, bottom in found:
        assert count == 1 or right - left == bottom - top
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1


def test_parts_of_faces_at_a_cut_are_left_out() -> None:
    picture = np.array([200, 100, 200, 100], np.float32)
    boxes = np.array([[0, 0, 40, 40], [60, 60, 99, 100], [30, 30, 60, 60]], np.float32)
    left, right = (np.array([x, 0, x + 100, 100], np.float32) for x in (0, 100))
    assert is_whole(boxes, left, picture).tolist() == [True, False, True]
    assert is_whole(boxes + np.float32([100, 0, 100, 0]), right, picture).tolist() == [False, True, True]


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (33, 57), (1080, 1920)])
def test_black_pictures_of_any_size_are_calm(detector: Detector, size: tuple[int, int]) -> None:
    found = detector.detect(np.zeros((*size, 3), np.uint8), 0, least_score=0.4, most=20)
    assert len(found) == 0
    assert found.xyxy_N4.shape == (0, 4)
