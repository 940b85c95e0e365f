"""The stage that sees: a detector finds boxes now and then, a tracker knows in between where things are.

A detector that took every picture would take the painter's processor. So it rests between its runs, and what
draws or counts asks the scene where things are at its own moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from realtime.core.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import Emitted, Live, StageContext, StageSpec

from .cut import CutDetector
from .detectors.base import Detector, DetectorInfo
from .flow.path import Affine
from .flow.value import Flow
from .kinds import MAX_CHARS, kinds_of, plain
from .scene import Detections, Scene
from .schedule import Schedule
from .track import Tracker
from .zones.config import WatchConfig
from .zones.watch import Watch

SMOOTHING = 0.2
"""Share of the newest delay in the usual one."""
GAPS_REMEMBERED = 15


class DetectConfig(WatchConfig):
    """Say what finds things, how often, and what is told of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: str = Field(
        "auto",
        max_length=400,
        description='What finds things: "nanodet-g" (80 everyday kinds), "blazeface" (faces), "streamnet" '
        '(ours, for drawn shapes), a model of the hub or a folder; "auto": the best that is here.',
    )
    engine: str = Field("auto", description="What runs it: openvino, onnx, torch, tensorrt or auto.")
    share: Annotated[float, Live()] = Field(
        0.08, ge=0.01, le=1.0, description="Share of the time that the detector may work; 1: without a rest."
    )
    least_score: Annotated[float, Live()] = Field(
        0.4, ge=0.05, le=0.95, description="How sure a box must be to count."
    )
    most: Annotated[int, Live()] = Field(
        50, ge=1, le=500, description="Boxes of a picture that count, the surest."
    )
    kinds: Annotated[str, Live()] = Field(
        "", max_length=MAX_CHARS, description='Kinds that count, such as "person, cup"; empty: all.'
    )


class DetectStage:
    """Give the scene of each picture that the detector ran on."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="detect",
        takes=Frame,
        gives=Scene,
        config=DetectConfig,
        lane="see",
        files=("detector",),
        says="Finds things, follows them, and knows where they are when a picture is shown.",
        watches=Flow,
    )

    def __init__(self, load: Callable[..., Detector] | None = None) -> None:
        """Take what loads the detector, `detectors.choose.load` where nothing is given."""
        self._load = load
        self._config = DetectConfig()
        self._clock: Clock = MonotonicClock()
        self._ctx = StageContext()
        self._detector: Detector | None = None
        self._tracker = Tracker()
        self._watch = Watch(self._config)
        self._cut = CutDetector()
        self._schedule = Schedule(self._config.share)
        self._rhythm = Rhythm()
        self._told_unknown: tuple[str, ...] = ()
        self._delay_s = 0.0
        self._before_ns = 0

    @property
    def info(self) -> DetectorInfo | None:
        """Return what finds things; None before `open`."""
        return self._detector.info if self._detector is not None else None

    def engine_info(self) -> Any:
        """Return what the page says of the engine."""
        info = self.info
        return None if info is None else _Badge(f"{info.title}, {info.engine}", info.why)

    def open(self, ctx: StageContext) -> None:
        """Load the detector. Raises ConfigError for a name that is none, ModelError for one not here."""
        self._ctx, self._clock = ctx, ctx.clock
        if self._detector is not None:
            return
        load = self._load or _load
        config = self._config
        self._detector = load(config.detector, ctx.shared, engine=config.engine, report=ctx.report)

    def configure(self, config: DetectConfig) -> None:
        self._config = config
        self._watch.configure(config)
        self._schedule.share = config.share

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None or self._detector is None:
            return ()
        captured_ns, begin_ns = item.stamp.captured_ns, self._clock.now_ns()
        interval_s = self._rhythm.interval_s(item.stamp)
        is_cut = self._cut.is_cut(item.pixels)
        if is_cut:
            self._begin_anew()
        elif self._ctx.is_live and not self._schedule.begins(begin_ns, captured_ns, interval_s):
            return ()
        scene = self._seen(item, is_cut)
        end_ns = self._clock.now_ns()
        self._schedule.ran(begin_ns, end_ns)
        self._note_delay(captured_ns, end_ns)
        return (Emitted(item.stamp, scene),)

    def reset(self) -> None:
        """Forget the stream: tracks, counts, and what a detector remembers."""
        self._begin_anew()
        self._watch.reset()
        self._cut.reset()
        self._before_ns = 0

    def close(self) -> None:
        self.reset()
        if self._detector is not None:
            self._detector.close()
            self._detector = None

    def _begin_anew(self) -> None:
        """Forget what was followed: another scene begins. What zones counted stays."""
        self._tracker.reset()
        if self._detector is not None:
            self._detector.reset()

    def _seen(self, frame: Frame, is_cut: bool) -> Scene:
        assert self._detector is not None
        config, captured_ns = self._config, frame.stamp.captured_ns
        begin_ns = self._clock.now_ns()
        found = self._detector.detect(
            frame.pixels, captured_ns, least_score=config.least_score, most=config.most
        )
        found = _of_kinds(found, config.kinds)
        holds_ns = captured_ns + round(found.ahead_s * NS_PER_S)
        size_px = (frame.width_px, frame.height_px)
        camera = self._camera(frame.stamp)
        motion = self._tracker.update(found, holds_ns, camera=camera, size_px=size_px)
        happened = self._watch.update(motion.at(captured_ns), captured_ns)
        if is_cut and not self._ctx.watched:  # who sees motion tells of it
            happened = ({"what": "cut", "at_ns": captured_ns, "says": "another scene"}, *happened)
        self._tell_unknown()
        work_ms = (self._clock.now_ns() - begin_ns) / NS_PER_MS
        return Scene(
            frame.stamp,
            size_px,
            self._detector.info.id,
            motion,
            happened,
            {"detect_ms": round(work_ms, 2), "found": float(len(found))},
            self._watch.places(),
        )

    def _camera(self, stamp: Stamp) -> Affine | None:
        """Return how the camera moved since the last run's picture; None where not all of that is known."""
        for newest in self._ctx.watched.values():
            flow = newest()
            if flow is not None and flow.stamp.source == stamp.source:
                return flow.path.between(self._before_ns, stamp.captured_ns)  # type: ignore[no-any-return]
        return None

    def _note_delay(self, captured_ns: int, end_ns: int) -> None:
        """Tell the detector how old its boxes are when they are shown: half a round after they are made."""
        assert self._detector is not None
        age_s = (end_ns - captured_ns) / NS_PER_S
        gap_s = (captured_ns - self._before_ns) / NS_PER_S if self._before_ns else 0.0
        self._before_ns = captured_ns
        shown_s = age_s + gap_s / 2
        self._delay_s += (shown_s - self._delay_s) * (SMOOTHING if self._delay_s else 1.0)
        self._detector.expect(self._delay_s)

    def _tell_unknown(self) -> None:
        """Say once which of the chosen kinds this detector cannot see."""
        assert self._detector is not None
        names = self._detector.info.names
        known = {plain(name) for name in names}
        unknown = tuple(sorted({*self._watch.unknown(names), *(kinds_of(self._config.kinds) - known)}))
        if unknown and unknown != self._told_unknown:
            verb = "is no kind" if len(unknown) == 1 else "are no kinds"
            self._ctx.report(f"{', '.join(unknown)} {verb} that {self._detector.info.title} can see.")
        self._told_unknown = unknown


def _load(name: str, shared: Any, **more: Any) -> Detector:
    from .detectors.choose import load

    return load(name, shared, **more)


class Rhythm:
    """Know how far apart the pictures of a source are, though not all of them come here."""

    def __init__(self) -> None:
        self._gaps_s: deque[float] = deque(maxlen=GAPS_REMEMBERED)
        self._before: Stamp | None = None

    def interval_s(self, stamp: Stamp) -> float:
        """Take a picture's stamp and return the usual time between two pictures; 0 while it is not known."""
        before, self._before = self._before, stamp
        if before is not None and before.source == stamp.source and stamp.seq > before.seq:
            gap_s = (stamp.captured_ns - before.captured_ns) / NS_PER_S / (stamp.seq - before.seq)
            self._gaps_s.append(gap_s)
        return median(self._gaps_s) if len(self._gaps_s) > 2 else 0.0


class _Badge:
    """What `Wiring.engine` reads."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why


def _of_kinds(found: Detections, text: str) -> Detections:
    """Return the boxes of the kinds that a text names; all for an empty one."""
    wanted = kinds_of(text)
    if not wanted or not len(found):
        return found
    is_wanted = np.array([plain(name) in wanted for name in found.names])[found.kinds_N]
    return Detections(
        found.xyxy_N4[is_wanted],
        found.scores_N[is_wanted],
        found.kinds_N[is_wanted],
        found.names,
        found.ahead_s,
    )
