"""How far a drawn box lies from what the picture shows, and how much of a face a cover leaves to see.

What is measured is the picture that comes out of the real stages on the clip of `_late.py`: where it was
drawn upon, and what of the thing can still be seen. Without the roll-forward a scene's things stay where they
were found, and have no speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from benchmarks._late import (
    DETECTOR_MS,
    FRAMES,
    HEIGHT_PX,
    NAMES,
    RATE_HZ,
    SIDES_PX,
    WARM_FRAMES,
    WIDTH_PX,
    Held,
    face_mask,
    middle_px,
    shown,
)
from benchmarks._measure import median
from perception.cover.config import CoverConfig
from perception.cover.shapes import GREY
from perception.cover.stage import CoverStage
from perception.overlay.config import OverlayConfig
from perception.overlay.stage import OverlayStage
from perception.scene import Scene, nothing
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext


def touched(before: Frame, after: Frame) -> Any:
    """Return the box around what differs, in pixels."""
    y, x = np.nonzero((before.pixels != after.pixels).any(2))
    if not len(x):
        return np.full(4, np.nan)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float64)


class Error(NamedTuple):
    """Say how far drawn boxes lie from the thing, in pixels: the worst picture's worst side."""

    with_forecast: float
    without: float


def overlay_error(frames: int = FRAMES) -> Error:
    """Measure the distance of the drawn box from the thing, with and without the roll-forward."""
    worst = []
    for is_held in (False, True):
        errors = []
        config = OverlayConfig(labels=False)
        for frame, out in list(shown(OverlayStage(), config, is_held=is_held, frames=frames))[WARM_FRAMES:]:
            middle, half = np.array(middle_px(frame.stamp.seq)), np.array(SIDES_PX) / 2
            truth = np.concatenate([middle - half, middle + half])
            errors.append(np.abs(touched(frame, out) - _rim() - truth).max())
        worst.append(float(np.max(errors)))
    return Error(*worst)


def _rim() -> Any:
    """Return how far what is drawn reaches beyond the box that is meant, for each side."""
    box = np.array([200.0, 150.0, 260.0, 220.0])
    frame = _grey(0)
    (out,) = _watching(lambda: _scene(0, box[None]), OverlayConfig(labels=False)).process(frame)
    return touched(frame, out.value) - box


def overlay_cost(count: int = 14, pictures: int = 120) -> float:
    """Measure what the overlay costs a picture of 640 x 480 with boxes, labels and scores: CPU ms, median.

    Each picture brings a scene of its own, in which each thing has moved and has another score.
    """
    random, spent_ms = np.random.default_rng(0), []
    low = random.uniform(0, (WIDTH_PX - 160, HEIGHT_PX - 160), (count, 2))
    boxes = np.concatenate([low, low + random.uniform(40, 160, (count, 2))], axis=1)
    newest: list[Scene] = []
    stage = _watching(lambda: newest[-1], OverlayConfig())
    for seq in range(pictures):
        scores = random.uniform(0.4, 1.0, count)
        newest.append(_scene(seq, boxes + random.normal(0, 4, boxes.shape), scores))
        frame, began_s = _grey(seq), time.thread_time()
        stage.process(frame)
        spent_ms.append(1000 * (time.thread_time() - began_s))
    return median(spent_ms[pictures // 4 :])


def _grey(seq: int) -> Frame:
    stamp = Stamp("clip", seq, 3000 * seq, VIDEO_CLOCK, round(seq * NS_PER_S / RATE_HZ))
    return Frame(stamp, np.full((HEIGHT_PX, WIDTH_PX, 3), 128, np.uint8))


def _scene(seq: int, boxes_px: Any, scores: Any = 1.0) -> Scene:
    stamp, count = _grey(seq).stamp, len(boxes_px)
    things = replace(
        nothing(stamp.captured_ns, NAMES),
        ids_N=np.arange(count),
        xyxy_N4=np.asarray(boxes_px / np.array([WIDTH_PX, HEIGHT_PX] * 2), np.float32),
        velocity_N2=np.zeros((count, 2), np.float32),
        scores_N=np.full(count, scores, np.float32),
        kinds_N=np.zeros(count, np.int64),
    )
    return Scene(stamp, (WIDTH_PX, HEIGHT_PX), "known", Held(things))


def _watching(newest: Callable[[], Scene], config: OverlayConfig) -> OverlayStage:
    stage = OverlayStage()
    stage.configure(config)
    stage.open(StageContext(watched={"known": newest}))
    return stage


class Leak(NamedTuple):
    """Say which share of a moving face can be seen beside its cover: of the worst picture, and on average."""

    worst: float
    worst_without: float
    mean: float
    mean_without: float


def cover_leak(frames: int = FRAMES) -> Leak:
    """Measure what of the moving thing is seen, with and without the roll-forward, all else being equal."""
    found = []
    config = CoverConfig(mode="blur", look="plain")
    for is_held in (False, True):
        leaks = []
        for frame, out in list(shown(CoverStage(), config, is_held=is_held, frames=frames))[WARM_FRAMES:]:
            face = face_mask(frame.stamp.seq) > 0
            is_seen = np.abs(out.pixels[face].astype(int) - GREY).max(1) > 8
            leaks.append(float(is_seen.mean()))
        found.append((max(leaks), float(np.mean(leaks))))
    (worst, mean), (worst_without, mean_without) = found
    return Leak(worst, worst_without, mean, mean_without)


def report() -> dict[str, float]:
    """Measure all, print it, and return it by the names of the JSON keys."""
    error, leak, cost_ms = overlay_error(), cover_leak(), overlay_cost()
    print(
        f"  a thing at 320 px/s, a detector of {DETECTOR_MS} ms: the box on the shown picture is at most "
        f"{error.with_forecast:.1f} px off; {error.without:.1f} px without the roll-forward\n"
        f"  a cover over it lets {100 * leak.worst:.1f} % of it be seen at worst, {100 * leak.mean:.1f} % on "
        f"average; {100 * leak.worst_without:.1f} % and {100 * leak.mean_without:.1f} % without\n"
        f"  14 things are drawn in {cost_ms:.2f} ms of processor time, 640 x 480",
        flush=True,
    )
    return {
        "overlay_error_px": error.with_forecast,
        "overlay_error_px_without": error.without,
        "overlay_ms": cost_ms,
        "cover_leak": leak.worst,
        "cover_leak_without": leak.worst_without,
    }
