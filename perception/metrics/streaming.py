"""Time, as streaming perception counts it (Li, Wang, Ramanan 2020, arXiv:2005.10420).

What a detector said is judged by what the world shows when it is asked: the truth of frame i meets the newest
output that was finished at i / fps. So a perfect answer that comes late is a wrong one, and an answer about
the future can be right. Everything here is arithmetic on times; `sap.py` counts the boxes.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Policy = Literal["newest", "shrinking-tail", "infinite"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a detector: on which frame, from when to when, in seconds of the stream."""

    frame: int
    start_s: float
    finish_s: float


def runs(
    frames: int,
    fps: float,
    runtime_s: Callable[[int], float],
    policy: Policy = "newest",
    usual_s: float = 0.0,
) -> list[Run]:
    """Return the runs of a detector on a stream of `frames` pictures.

    `runtime_s(k)` is what the k-th run takes. "newest": one worker takes the newest frame when it is free,
    or waits for the next when it has done that. "shrinking-tail": it also waits when a run of the usual
    duration, begun with the next frame, would end no frame later (section 3.2 of the paper); `usual_s` is
    that duration. "infinite": a worker for each frame.
    """
    found: list[Run] = []
    if policy == "infinite":
        each = (Run(k, k / fps, k / fps + runtime_s(k)) for k in range(frames))
        return sorted(each, key=lambda run: (run.finish_s, run.frame))
    now_s, last = 0.0, -1
    while True:
        frame = math.floor(now_s * fps + 1e-9)
        if frame == last or (policy == "shrinking-tail" and _waits(now_s * fps, usual_s * fps)):
            frame += 1
            now_s = frame / fps
        if frame >= frames:
            return found
        finish_s = now_s + runtime_s(len(found))
        found.append(Run(frame, now_s, finish_s))
        now_s, last = finish_s, frame


def _waits(now_frames: float, usual_frames: float) -> bool:
    """Tell whether to begin with the next frame rather than in the middle of this one."""
    phase = now_frames - math.floor(now_frames + 1e-9)
    return usual_frames > 1 and phase > 1e-9 and math.floor(phase + usual_frames) > usual_frames


def newest(finish_s: Sequence[float], frames: int, fps: float, eta: float = 0.0) -> list[int | None]:
    """Return for each frame the place of the newest output that is finished by (i - eta) / fps, or None.

    `finish_s` must not fall.
    """
    return [
        place - 1 if (place := bisect.bisect_right(finish_s, (i - eta) / fps + 1e-9)) else None
        for i in range(frames)
    ]


@dataclass(frozen=True, slots=True)
class Staleness:
    """Say how old the answers were, in frames."""

    mean_frames: float
    """Between a frame and the one that the answer shown at it was made from."""
    missed: int
    """Frames at which there was no answer yet."""
    unused: float
    """The share of frames on which no detector ran."""


def staleness(done: Sequence[Run], frames: int, fps: float) -> Staleness:
    """Return how old the answers of `done`, in the order of their ends, were."""
    shown = newest([run.finish_s for run in done], frames, fps)
    ages = [i - done[place].frame for i, place in enumerate(shown) if place is not None]
    seen = {run.frame for run in done}
    mean = sum(ages) / len(ages) if ages else math.nan
    return Staleness(mean, sum(place is None for place in shown), 1 - len(seen) / frames)


def drawn(samples_s: Sequence[float], pick: Callable[[int], int]) -> Callable[[int], float]:
    """Return a run time for each run, drawn from measured ones; `pick(n)` gives a number below n."""
    return lambda k: samples_s[pick(len(samples_s))]


def ordered(outputs: Iterable[tuple[float, int]]) -> list[int]:
    """Return places of (finish time, frame) in the order in which they count."""
    pairs = list(outputs)
    return sorted(range(len(pairs)), key=lambda k: pairs[k])
