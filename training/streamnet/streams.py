"""Held-out films as streams: a detector that costs some frame intervals, and what it had said when it was asked.

Three ways to answer "where is it now?": hold the last answer about the present, roll it forward by a Kalman
filter, or let the network foresee. All three run the same network on the same films.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from perception.detectors.base import Detector
from perception.metrics.sap import Output
from perception.metrics.streaming import Run, newest, runs, staleness

from training.streamnet.things import NAMES
from training.streamnet.world import HELD_OUT, Film, film, photos

FPS = 30.0
SIZE = (512, 288)
COSTS = (0.6, 1.5, 2.25, 4.0)
"""Frame intervals that one run of the detector takes."""
LEAST_SCORE = 0.02
SEED = 20_000
"""Training draws its worlds from other seeds, and of other photographs."""
Method = Literal["hold", "kalman", "streamnet", "streamnet+kalman"]
METHODS: tuple[Method, ...] = ("hold", "kalman", "streamnet", "streamnet+kalman")


@dataclass(slots=True)
class Streams:
    """Hold films with their truth in COCO's format, each film a sequence."""

    films: list[Film]
    annotations: dict[str, Any]
    fps: float = FPS


def held_out(films: int = 6, frames: int = 90, seed: int = SEED, size: tuple[int, int] = SIZE) -> Streams:
    """Draw films that training never saw, on photographs that it never saw."""
    pool = photos(HELD_OUT)
    made = [film(np.random.default_rng((seed, k)), size, frames, pool=pool, most=14) for k in range(films)]
    return Streams(made, annotated(made))


def annotated(films: Sequence[Film]) -> dict[str, Any]:
    """Return the truth of films as `perception.metrics.sap` takes it."""
    images, truths = [], []
    for sid, one in enumerate(films):
        height, width = one.pixels_THW3.shape[1:3]
        for fid in range(len(one)):
            images.append({"id": len(images), "sid": sid, "fid": fid, "width": width, "height": height})
            for n in one.shown(fid):
                left, top, right, bottom = (float(v) for v in one.boxes_TN4[fid, n])
                truths.append({
                    "id": len(truths) + 1, "image_id": images[-1]["id"], "category_id": int(one.kinds_N[n]), "iscrowd": 0,
                    "bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)})  # fmt: skip
    kinds = [{"id": k, "name": name} for k, name in enumerate(NAMES)]
    return {"images": images, "annotations": truths, "categories": kinds, "sequences": [str(k) for k in range(len(films))]}


@dataclass(slots=True)
class Said:
    """What a detector said of one film's frame: boxes in px, when it was ready, and when they hold."""

    run: Run
    holds_s: float
    output: Output


def said(detector: Detector, one: Film, done: Sequence[Run], delay_s: float, fps: float = FPS) -> list[Said]:
    """Run the detector on the frames of `done`, told to foresee by `delay_s`; 0 asks for the present."""
    height, width = one.pixels_THW3.shape[1:3]
    scale = np.array([width, height, width, height], float)
    detector.reset()
    detector.expect(delay_s)
    found = []
    for run in done:
        captured_s = run.frame / fps
        seen = detector.detect(one.pixels_THW3[run.frame], round(captured_s * 1e9) + 1, least_score=LEAST_SCORE, most=100)
        output = Output(run.finish_s, seen.xyxy_N4 * scale, seen.scores_N.astype(float), seen.kinds_N)
        found.append(Said(run, captured_s + seen.ahead_s, output))
    return found


def outputs(streams: Streams, detector: Detector, cost_frames: float, method: Method) -> dict[int, list[Output]]:
    """Return what was said of each film, by its place, when one run takes `cost_frames` frame intervals.

    The forecast reaches as far as the answers are old on the average when they are asked for.
    """
    found = {}
    for sid, one in enumerate(streams.films):
        done = runs(len(one), streams.fps, lambda k: cost_frames / streams.fps)
        delay_s = staleness(done, len(one), streams.fps).mean_frames / streams.fps
        foresees = method.startswith("streamnet")
        each = said(detector, one, done, delay_s if foresees else 0.0, streams.fps)
        if method.endswith("kalman"):
            found[sid] = rolled(each, len(one), streams.fps, one.pixels_THW3.shape[2])
        else:
            found[sid] = [item.output for item in each]
    return found


def rolled(each: Sequence[Said], frames: int, fps: float, width_px: int) -> list[Output]:
    """Return an output for every frame: the newest answer, carried on to the frame's time."""
    tracks, used = Tracks(width_px), -1
    shown = []
    for fid, place in enumerate(newest([item.run.finish_s for item in each], frames, fps)):
        if place is None:
            continue
        for item in each[used + 1 : place + 1]:
            tracks.update(item.holds_s * fps, item.output)
        used = place
        shown.append(tracks.at(fid / fps, fid))
    return shown


class Tracks:
    """The baseline of streaming perception (arXiv:2005.10420): a constant-velocity Kalman filter for each box.

    State: left, top, width, height and their rates, a frame; Q = dt^2, R = 10, P0 = 100 in px^2 of a picture
    1920 px wide. Matches are greedy by overlap of 0.3 or more, the surest first; a track that is not matched
    ends. All boxes share their covariance, which depends on times only.
    """

    def __init__(self, width_px: int) -> None:
        self._unit = (width_px / 1920) ** 2
        self._state = np.zeros((0, 4, 2))
        self._spread = np.zeros((0, 2, 2))
        self._scores, self._kinds = np.zeros(0), np.zeros(0, int)
        self._age, self._time = np.zeros(0, int), 0.0

    def update(self, time: float, output: Output) -> None:
        """Take what was said of a moment, in frames."""
        dt, before = time - self._time, len(self._state)
        move = np.array([[1, dt], [0, 1]])
        state = self._state @ move.T
        spread = move @ self._spread @ move.T + dt**2 * self._unit * np.eye(2)
        seen = np.concatenate([output.boxes_N4[:, :2], output.boxes_N4[:, 2:] - output.boxes_N4[:, :2]], 1)
        places = _matches(_ltrb(state[..., 0]), self._kinds, output)
        new = np.zeros((len(seen), 4, 2))
        new_spread = np.tile(100 * self._unit * np.eye(2), (len(seen), 1, 1))
        new[..., 0] = seen
        age = np.zeros(len(seen), int)
        for k, place in enumerate(places):
            if place < 0 or not before:
                continue
            gain = spread[place][:, 0] / (spread[place][0, 0] + 10 * self._unit)
            new[k] = state[place] + (seen[k] - state[place][:, 0])[:, None] * gain
            new_spread[k] = spread[place] - np.outer(gain, spread[place][0])
            age[k] = self._age[place] + 1
        self._state, self._spread, self._age, self._time = new, new_spread, age, time
        self._scores, self._kinds = output.scores_N, output.kinds_N

    def at(self, time_s: float, frame: float) -> Output:
        """Return the boxes at a frame; a track of one sighting stays where it was seen."""
        dt = np.where(self._age > 0, frame - self._time, 0.0)
        boxes = _ltrb(self._state[..., 0] + self._state[..., 1] * dt[:, None])
        return Output(time_s, boxes, self._scores, self._kinds)


def _ltrb(ltwh_N4: np.ndarray) -> np.ndarray:
    return np.concatenate([ltwh_N4[:, :2], ltwh_N4[:, :2] + np.maximum(ltwh_N4[:, 2:], 1.0)], 1)


def _matches(boxes_N4: np.ndarray, kinds_N: np.ndarray, output: Output) -> list[int]:
    """Return for each box said the track that it goes on with, or -1."""
    found = [-1] * len(output.boxes_N4)
    if not len(boxes_N4):
        return found
    low = np.maximum(boxes_N4[None, :, :2], output.boxes_N4[:, None, :2])
    high = np.minimum(boxes_N4[None, :, 2:], output.boxes_N4[:, None, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    sizes = [(one[:, 2:] - one[:, :2]).prod(-1) for one in (output.boxes_N4, boxes_N4)]
    iou = shared / (sizes[0][:, None] + sizes[1][None] - shared + 1e-9)
    iou = np.where(output.kinds_N[:, None] == kinds_N[None], iou, 0.0)
    for k in np.argsort(-output.scores_N):
        place = int(iou[k].argmax())
        if iou[k, place] >= 0.3:
            found[k] = place
            iou[:, place] = 0
    return found
