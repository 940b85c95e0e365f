"""A clip, a detector that answers 100 ms late, and simulated time: the stage on which lateness is measured.

A thing of a colour of its own moves over a drifting pattern at 320 px a second, 640 x 480 at 30 pictures a
second. A stage on the lane `see` finds it by that colour in the pictures themselves, answers 100 ms later,
and then takes the newest picture. Graph, lanes, tracker and the watching stage are the real ones; only time
is simulated, so that the figures do not depend on the machine.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel

from perception.scene import Detections, Motion, Scene, Things, nothing, seconds
from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import Emitted, StageContext, StageSpec
from realtime.sources.pattern import pattern_picture

WIDTH_PX, HEIGHT_PX, RATE_HZ = 640, 480, 30
SPEED_PX_S = (300.0, 111.36)
"""320 px a second in all."""
SIDES_PX = (56.0, 72.0)
START_PX = (40.0, 120.0)
"""Middle of the thing in the first picture."""
FRAMES = 56
WARM_FRAMES = 15
"""Half a second, in which the detector has answered three times; not counted."""
DETECTOR_MS = 100
PATIENCE_S = 20.0
NAMES = ("face",)


class SimulatedClock:
    """Tell simulated time; one thread may wait for a moment of it, and another sets it."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._changed = threading.Condition()
        self.alarm_ns: int | None = None
        """For when somebody waits."""
        self.begun = -1
        """Number of the last picture that somebody has begun to look at."""

    def now_ns(self) -> int:
        return self._now_ns

    def set(self, now_ns: int) -> None:
        """Move on."""
        with self._changed:
            self._now_ns = now_ns
            self._changed.notify_all()

    def work(self, seq: int, duration_ns: int) -> None:
        """Be busy with picture `seq` for so long."""
        with self._changed:
            self.begun, self.alarm_ns = seq, self._now_ns + duration_ns
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.alarm_ns is None or self._now_ns >= self.alarm_ns, PATIENCE_S)
            self.alarm_ns = None

    def until_begun(self, seq: int) -> None:
        """Wait, in real time, until somebody is busy with picture `seq`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.begun >= seq, PATIENCE_S):
                raise TimeoutError(f"picture {seq} is not looked at")


class FindConfig(BaseModel):
    is_held: bool = False


class Find:
    """Find the thing by its colour, 100 ms late."""

    spec = StageSpec("find", takes=Frame, gives=Scene, config=FindConfig, lane="see")

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._follow = follower()
        self._is_held = False

    def open(self, ctx: StageContext) -> None: ...

    def configure(self, config: FindConfig) -> None:
        self._is_held = config.is_held

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        found = found_in(item.pixels)
        self._clock.work(item.stamp.seq, DETECTOR_MS * NS_PER_MS)
        size = (item.width_px, item.height_px)
        motion = self._follow(found, item.stamp.captured_ns, size)
        if self._is_held:
            motion = Held(motion.at(item.stamp.captured_ns))
        return (Emitted(item.stamp, Scene(item.stamp, size, "colour", motion)),)

    def reset(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Held:
    """Know things that stay where they were found."""

    things: Things

    def at(self, when_ns: int) -> Things:
        return replace(self.things, at_ns=when_ns, velocity_N2=np.zeros_like(self.things.velocity_N2))


def found_in(pixels: Any) -> Detections:
    """Return the box of what has the thing's colour."""
    y, x = np.nonzero((pixels[..., 0] > 200) & (pixels[..., 1] < 110) & (pixels[..., 2] > 130))
    box = [[x.min() / WIDTH_PX, y.min() / HEIGHT_PX, (x.max() + 1) / WIDTH_PX, (y.max() + 1) / HEIGHT_PX]]
    return Detections(np.array(box, np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), NAMES)


def follower() -> Callable[[Detections, int, tuple[int, int]], Motion]:
    """Return what makes a motion of each picture's boxes: the tracker, or two pictures' line without it."""
    try:
        tracker = importlib.import_module("perception.track").Tracker()
    except ModuleNotFoundError:
        return Line().follow
    return lambda found, at_ns, size: tracker.update(found, at_ns, size_px=size)


@dataclass
class Line:
    """Know where one thing was in two pictures, and that it goes on like that."""

    before: Things | None = None
    last: Things | None = None

    def follow(self, found: Detections, at_ns: int, size: tuple[int, int]) -> Line:
        now = replace(
            nothing(at_ns, NAMES),
            ids_N=np.ones(1, np.int64),
            xyxy_N4=found.xyxy_N4,
            velocity_N2=np.zeros((1, 2), np.float32),
            scores_N=found.scores_N,
            kinds_N=found.kinds_N,
        )
        if self.last is not None:
            step = (now.xyxy_N4 - self.last.xyxy_N4).reshape(1, 2, 2).mean(1)
            now = replace(now, velocity_N2=step / seconds(self.last.at_ns, at_ns))
        self.before, self.last = self.last, now
        return Line(self.before, now)

    def at(self, when_ns: int) -> Things:
        assert self.last is not None
        moved = np.tile(self.last.velocity_N2 * seconds(self.last.at_ns, when_ns), 2)
        return replace(self.last, at_ns=when_ns, xyxy_N4=np.asarray(self.last.xyxy_N4 + moved, np.float32))


def middle_px(seq: int) -> tuple[float, float]:
    """Return where the middle of the thing is in picture `seq`."""
    x, y = (start + speed * seq / RATE_HZ for start, speed in zip(START_PX, SPEED_PX_S, strict=True))
    return x, y


def picture(seq: int) -> Any:
    """Return picture `seq`: an ellipse with fine columns, sharp to 1/16 pixel."""
    pixels: Any = pattern_picture(seq, WIDTH_PX, HEIGHT_PX, mark=False)
    inside = face_mask(seq) > 0
    columns = np.where(np.arange(WIDTH_PX) % 2, 90, 0)
    pixels[inside] = np.stack([np.full(WIDTH_PX, 255), columns, 160 + columns], 1)[np.nonzero(inside)[1]]
    return pixels


def face_mask(seq: int) -> Any:
    """Return 255 where the thing is in picture `seq`."""
    mask: Any = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    at, axes = (
        tuple(round(16 * one) for one in pair)
        for pair in ([place - 0.5 for place in middle_px(seq)], [side / 2 for side in SIDES_PX])
    )
    cv2.ellipse(mask, at, axes, 0, 0, 360, 255, -1, cv2.LINE_8, 4)
    return mask


def shown(
    stage: Any, config: BaseModel, *, is_held: bool, frames: int = FRAMES
) -> Iterator[tuple[Frame, Frame]]:
    """Give each picture and what came out of `stage` for it, in simulated time."""
    clock, lanes = SimulatedClock(), Lanes()
    nodes = [
        Node("find", Find(clock), Find.spec, FindConfig(is_held=is_held)),
        Node("drawn", stage, stage.spec, config, watches=("find",)),
    ]
    graph = Graph(nodes, clock=clock)
    seen, drawn = graph.subscribe("find", capacity=4), graph.subscribe("drawn")
    graph.open(lanes, StageContext("overlay", clock))
    try:
        for seq in range(frames):
            due_ns = round(seq * NS_PER_S / RATE_HZ)
            while clock.alarm_ns is not None and clock.alarm_ns <= due_ns:
                clock.set(clock.alarm_ns)
                seen.get(PATIENCE_S)
                if clock.begun < seq - 1:
                    clock.until_begun(seq - 1)
            clock.set(due_ns)
            frame = Frame(Stamp("clip", seq, 3000 * seq, VIDEO_CLOCK, due_ns), picture(seq))
            is_free = clock.alarm_ns is None
            graph.put("video", frame)
            if is_free:
                clock.until_begun(seq)
            result = drawn.get(PATIENCE_S)
            assert result.value is not None, result.error
            yield frame, result.value
    finally:
        clock.set(2**62)
        graph.close()
        lanes.close()
