"""A stream as a detector of a certain cost sees it, and the ways to answer from what it said.

A way is a function: stream in, outputs out, or None where it cannot be had. Whoever adds one adds a row to
`WAYS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks._see_kalman import OfficialKalman
from perception.metrics.sap import Output
from perception.metrics.streaming import Policy, Run, newest, runs
from perception.scene import Detections
from perception.track import Tracker
from realtime.core.clock import NS_PER_S

JUST_LATE = 1e-6
"""Frame intervals that a run takes beyond its cost: an answer that would come just in time is late."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Hold the pictures of one sequence as far as a detector got to see them."""

    fps: float
    frames: int
    size_px: tuple[int, int]
    runs: list[Run]
    found: Callable[[int], Detections]
    """What the detector says of a frame."""
    picture: Callable[[int], npt.NDArray[np.uint8]] | None = None
    """A frame, (H, W, 3) RGB; None in a world without pictures."""

    def moments(self) -> Iterator[tuple[int, int]]:
        """Yield each frame at which there is an answer, and the place of its newest run."""
        shown = newest([run.finish_s for run in self.runs], self.frames, self.fps)
        return ((frame, place) for frame, place in enumerate(shown) if place is not None)

    def output(
        self, finish_s: float, xyxy_N4: np.ndarray, scores_N: np.ndarray, kinds_N: np.ndarray
    ) -> Output:
        """Return boxes, given as shares, as the metric takes them."""
        boxes = np.asarray(xyxy_N4, np.float64) * np.tile(np.array(self.size_px, np.float64), 2)
        return Output(finish_s, boxes, np.asarray(scores_N, np.float64), np.asarray(kinds_N, np.int64) + 1)


Way = Callable[[Stream], list[Output] | None]


def ran(frames: int, fps: float, cost_frames: float, policy: Policy = "newest") -> list[Run]:
    """Return the runs of a detector that always takes `cost_frames` frame intervals."""
    took_s = (cost_frames + JUST_LATE) / fps if cost_frames else 0.0
    return runs(frames, fps, lambda _: took_s, policy, took_s)


def hold(stream: Stream) -> list[Output]:
    """Show what was said until something else is said."""
    said = [(run.finish_s, stream.found(run.frame)) for run in stream.runs]
    return [stream.output(at_s, one.xyxy_N4, one.scores_N, one.kinds_N) for at_s, one in said]


def kalman(stream: Stream) -> list[Output]:
    """Forecast as the toolkit of streaming perception does."""
    follower, known, given = OfficialKalman(stream.size_px), -1, []
    for frame, place in stream.moments():
        if place != known:
            known = place
            follower.update(stream.found(stream.runs[place].frame), stream.runs[place].frame)
        boxes, scores, kinds = follower.at(frame)
        given.append(Output(frame / stream.fps, boxes, scores, kinds + 1))
    return given


def ours(stream: Stream) -> list[Output]:
    """Follow, and roll forward to each frame."""
    tracker, known, given = Tracker(), -1, []
    for frame, place in stream.moments():
        while known < place:
            known += 1
            seen = stream.runs[known].frame
            found = stream.found(seen)
            at_ns = round((seen / stream.fps + found.ahead_s) * NS_PER_S)
            motion = tracker.update(found, at_ns, size_px=stream.size_px)
        things = motion.at(round(frame / stream.fps * NS_PER_S))
        at_s = frame / stream.fps
        given.append(stream.output(at_s, things.xyxy_N4, things.scores_N, things.kinds_N))
    return given


WAYS: Mapping[str, Way] = {"hold": hold, "kalman": kalman, "ours": ours}
"""A detector that looks ahead by itself, such as a StreamNet, reads `Stream.picture` and stands here too."""


def timed(way: Way, stream: Stream) -> tuple[list[Output] | None, float]:
    """Return what a way gives, and the milliseconds of processor time that it took for each output."""
    began_s = time.process_time()
    given = way(stream)
    return given, (time.process_time() - began_s) * 1e3 / max(len(given or ()), 1)
