"""Drawn worlds tell the truth about themselves, clips ask for what they should, and streams keep time."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from perception.detectors.base import DetectorInfo, Pixels
from perception.metrics.sap import Output, streaming_ap
from perception.scene import Detections
from training.streamnet import clips, train
from training.streamnet.clips import FRAMES, PAST, asked, draw, padded, truth
from training.streamnet.paths import path
from training.streamnet.streams import Streams, Tracks, annotated, outputs
from training.streamnet.things import NAMES, area, outline
from training.streamnet.world import Film, _paint, film


def small(seed: int, count: int = 6, **how: object) -> Film:
    return film(np.random.default_rng(seed), (96, 64), count, pool=[], **how)


@pytest.mark.parametrize("kind", range(len(NAMES)))
def test_a_box_is_where_the_thing_is(kind: int) -> None:
    canvas, owner = np.zeros((80, 100, 3), np.uint8), np.full((80, 100), -1, np.int16)
    placed = [one * 21.3 + (47.6, 38.2) for one in outline(kind)]
    _paint(canvas, owner, 5, placed, np.full((64, 64, 3), 255, np.float32), 0.0)
    y, x = np.nonzero(owner == 5)
    low, high = placed[0].min(0), placed[0].max(0)
    assert (x.min(), y.min()) == pytest.approx(tuple(low), abs=1.5)
    assert (x.max() + 1, y.max() + 1) == pytest.approx(tuple(high), abs=1.5)
    assert (owner == 5).sum() == pytest.approx(area(placed), rel=0.08)
    assert (canvas[owner < 0] < 130).all()


def test_a_seed_is_a_film_and_things_move_in_it() -> None:
    one, again, other = small(1), small(1), small(2)
    assert np.array_equal(one.pixels_THW3, again.pixels_THW3)
    assert not np.array_equal(one.pixels_THW3, other.pixels_THW3)
    assert (one.boxes_TN4 >= 0).all()
    assert (one.boxes_TN4[..., 2] <= 96).all()
    assert np.abs(one.boxes_TN4[-1] - one.boxes_TN4[0]).max() > 1
    assert (one.visible_TN <= 1.3).all()  # a third of a pixel of a tiny one


def test_what_is_covered_is_not_asked_for() -> None:
    one = small(3)
    one.visible_TN[2, 0] = 0.0
    assert 0 not in one.shown(2)
    one.visible_TN[2, 0], one.boxes_TN4[2, 0] = 1.0, (10, 10, 30, 30)
    assert 0 in one.shown(2)


@pytest.mark.parametrize("seed", range(8))
def test_paths_stay_about_the_picture(seed: int) -> None:
    found = path(np.random.default_rng(seed), 200, (1.0, 0.56), 0.1)
    assert (found.places_T2 > -0.4).all()
    assert (found.places_T2 < 1.4).all()
    steps = np.hypot(*np.diff(found.places_T2, axis=0).T)
    assert steps.max() < 0.09


def test_a_clip_asks_for_the_next_step_and_once_for_the_present() -> None:
    wanted = asked(np.random.default_rng(0))
    *full, early, still = wanted
    assert [now for now, _, _ in full] == list(range(PAST, FRAMES))
    assert all(then == now + 1 and before == (now - 1, now - 2, now - 3) for now, before, then in full)
    assert early[1][-1] == 0
    assert early[2] == early[0] + 1
    assert still == (still[0], (still[0],) * PAST, still[0])


def test_truths_are_boxes_of_the_frame_asked_for() -> None:
    one = small(5)
    found = truth(one, 2, 3)
    wanted = [n for n in one.shown(3) if one.visible_TN[2, n] >= clips.GLIMPSED]
    assert len(found.next_G4) == len(wanted) > 0
    left = found.next_G4[:, 0] - found.next_G4[:, 2] / 2
    assert left.numpy() == pytest.approx(one.boxes_TN4[3, wanted, 0], abs=1e-4)
    assert len(found.now_N4) == len(one.shown(2))


def test_pictures_are_bgr_with_grey_below() -> None:
    pixels = np.zeros((2, 40, 60, 3), np.uint8)
    pixels[..., 0] = 250
    found = padded(pixels)
    assert tuple(found.shape) == (2, 3, 64, 64)
    assert (found[:, 2, :40, :60] == 250).all()
    assert (found[:, :, 40:] == 114).all()


def test_predictions_join_the_frames_that_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "quick", contextlib.nullcontext)
    model, one = train.make().eval(), draw((0, 1), 1, 0.0)
    with torch.no_grad():
        rows = train.predicted(model, one)
        for k in (0, len(one.truths) - 2):
            past = torch.stack([one.pictures_F3HW[place] for place in one.past_KP[:, k]])[None]
            whole = model(one.pictures_F3HW[one.now_P[k]][None], past)
            assert (rows[k] - whole[0]).abs().max() < 1e-3


def test_a_step_of_training_is_taken(tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in _made().named_parameters()}
    model = train.train(tmp_path / "run.pt", steps=1, count=1, lr=1e-3)
    moved = [name for name, value in model.named_parameters() if not torch.equal(value, before[name])]
    assert len(moved) > 0.9 * len(before)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert (tmp_path / "run.pt").is_file()


def _made() -> torch.nn.Module:
    torch.manual_seed(0)
    return train.make()


def test_a_kalman_filter_learns_a_steady_motion() -> None:
    tracks = Tracks(192)
    for frame in range(0, 24, 2):
        box = np.array([[10.0 + 3 * frame, 20, 40 + 3 * frame, 60]])
        tracks.update(frame, Output(0.0, box, np.array([0.9]), np.array([1])))
    found = tracks.at(0.9, 26)
    assert found.boxes_N4[0] == pytest.approx([10 + 78, 20, 40 + 78, 60], abs=1.0)
    tracks.update(25, Output(0.0, np.array([[150.0, 5, 170, 25]]), np.array([0.9]), np.array([1])))
    assert tracks.at(1.0, 30).boxes_N4[0] == pytest.approx([150, 5, 170, 25])  # a new one stays


class Oracle:
    """Know a film by heart, and foresee as far as it is told to."""

    def __init__(self, films: list[Film]) -> None:
        self.info = DetectorInfo("oracle", "", NAMES)
        self._films, self._delay_s = films, 0.0

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        frame = round(captured_ns / 1e9 * 30)
        (one,) = (f for f in self._films if np.array_equal(f.pixels_THW3[frame], pixels))
        then = min(frame + round(self._delay_s * 30), len(one) - 1)
        shown = one.shown(then)
        boxes = one.boxes_TN4[then, shown] / (96, 64, 96, 64)
        ones = np.ones(len(shown), np.float32)
        return Detections(boxes.astype(np.float32), ones, one.kinds_N[shown], NAMES, self._delay_s)

    def expect(self, delay_s: float) -> None:
        self._delay_s = delay_s

    def reset(self) -> None: ...

    def close(self) -> None: ...


def test_a_detector_that_foresees_what_it_is_told_to_is_right_in_time() -> None:
    films = [small(k, 24) for k in (11, 12)]
    streams, one = Streams(films, annotated(films)), Oracle(films)

    def ap(method: str) -> float:
        return streaming_ap(streams.annotations, outputs(streams, one, 1.0, method), 30.0).ap

    foreseen, held, rolled = ap("streamnet"), ap("hold"), ap("kalman")
    assert foreseen > 93  # but for a film's first frame, at which nothing is known
    assert held < rolled < foreseen
