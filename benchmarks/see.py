"""Is a thing shown where it is now? Streaming AP, staleness and cost of each way to answer late detections.

A detector takes some frame intervals for a picture. *hold* shows its boxes until the next ones, *kalman* is
the forecasting baseline of streaming perception, *ours* is what the app does: follow, and roll forward to
each frame. *Staleness* is the age, in frames, of the picture behind an answer, with the newest picture taken
at once and (waits) with the next one waited for where that is younger.

The world is made (14 things, up to 14 px a frame, boxes off by 1.5 px, one of twenty missed), so its truth is
exact; settings were chosen on other seeds. The clip is real photographs moved in a known way, encoded,
decoded and seen by a real detector.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _overlay, _streamnet
from benchmarks import _see_clip as clip
from benchmarks._measure import median
from benchmarks._see_beside import paint_loss
from benchmarks._see_streams import WAYS, Stream, ran, timed
from perception.detectors.base import Detector
from perception.metrics.sap import streaming_ap
from perception.metrics.streaming import Policy, staleness
from perception.metrics.world import World, WorldSettings, detections
from perception.scene import Detections
from perception.track import Tracker
from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.errors import VitascopeError

COSTS = (0.0, 0.6, 1.5, 2.25, 4.0)
"""Frame intervals."""
POLICIES: tuple[Policy, ...] = ("newest", "shrinking-tail")
TUNED_SEED = 10
"""The world on which settings were chosen."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=20, help="of the world that is judged")
    parser.add_argument("--sequences", type=int, default=3)
    parser.add_argument("--frames", type=int, default=150, help="pictures of a sequence, and of the clip")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of turns with and without seeing")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a turn")
    parser.add_argument("--detector", default="auto", help="what looks at the clip")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do every part; each returns some of the figures."""
    figures: dict[str, Any] = {}
    for name in options.parts or PARTS:
        figures.update(PARTS[name](options))
    return figures


def of_world(options: argparse.Namespace) -> dict[str, Any]:
    """Judge the ways on a made world, and on the one that settings were chosen on."""
    settings = WorldSettings(sequences=options.sequences, frames=options.frames)
    figures: dict[str, Any] = {}
    for seed, name in ((options.seed, "sap"), (TUNED_SEED, "sap_tuned_seed")):
        world = World(seed, settings)
        found = cache(partial(detections, world))

        def streams(cost: float, policy: Policy, found: Any = found) -> list[Stream]:
            done = ran(settings.frames, settings.fps, cost, policy)
            return [
                Stream(settings.fps, settings.frames, settings.size_px, done, partial(found, sid))
                for sid in range(settings.sequences)
            ]

        title = f"made world, seed {seed}" + (" (settings were chosen on it)" if name != "sap" else "")
        table = judged(title, world.annotations(), settings.fps, streams)
        figures[name] = table["sap"]
        if name == "sap":
            figures |= {"sap_waits": table["sap_waits"], "staleness": table["staleness"], "ms": table["ms"]}
    return figures


def of_clip(options: argparse.Namespace) -> dict[str, Any]:
    """Judge the ways on a clip of real photographs, with a real detector where one is here."""
    detector, why = loaded(options.detector)
    if detector is None:
        print(f"\nclip of photographs: not here ({why})", flush=True)
        return {"sap_clip": None}
    name = next((one for one in clip.BOXES if one in detector.info.names), "")
    if not name:
        print(f"\nclip of photographs: not here ({detector.info.title} sees neither persons nor faces)")
        return {"sap_clip": None}
    with tempfile.TemporaryDirectory() as folder:
        clip.encode(Path(folder) / "clip.mp4", name, options.frames)
        pictures = clip.decode(Path(folder) / "clip.mp4")
    kind = detector.info.names.index(name)

    @cache
    def found(frame: int) -> Detections:
        at_ns = round(frame / clip.FPS * NS_PER_S)
        return only(detector.detect(pictures[frame], at_ns, least_score=0.3, most=50), kind)

    def streams(cost: float, policy: Policy) -> list[Stream]:
        done = ran(len(pictures), clip.FPS, cost, policy)
        return [Stream(clip.FPS, len(pictures), clip.SIZE_PX, done, found, lambda k: pictures[k])]

    for frame in range(len(pictures)):
        found(frame)  # so that no way is charged for looking
    title = f"clip of photographs, {name} by {detector.info.title}, {detector.info.engine}"
    table = judged(title, clip.truth(name, len(pictures)), clip.FPS, streams)
    detector.close()
    return {"sap_clip": table["sap"], "clip_detector": detector.info.id}


def of_roll_forward(_: argparse.Namespace) -> dict[str, Any]:
    """Time one look at where 14 things are."""
    world, tracker = World(0, WorldSettings(sequences=1)), Tracker()
    for k in range(20):
        motion = tracker.update(detections(world, 0, k), round(k / 30 * NS_PER_S))
    spent_ms = []
    for k in range(300):
        began_ns = time.perf_counter_ns()
        motion.at(19 * NS_PER_S // 30 + k * NS_PER_MS // 4)
        spent_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    print(f"\nroll-forward of {len(motion.ids_N)} things: {median(spent_ms):.3f} ms (median of 300)")
    return {"roll_forward_ms": round(median(spent_ms), 4)}


def of_overlay(_: argparse.Namespace) -> dict[str, Any]:
    """Measure how far drawn boxes lie from what pictures show, and what a cover leaves to see."""
    print()
    return {name: round(value, 3) for name, value in _overlay.report().items()}


def of_streamnet(_: argparse.Namespace) -> dict[str, Any]:
    """Judge our streaming detector on films it never saw, and measure what its memory spares."""
    one = _streamnet.detector()
    print(f"\nfilms of drawn shapes, {one.info.title}, {one.info.engine}\n  cost", end="")
    print("".join(f"{name + ' sAP':>22}" for name in _streamnet.METHODS))
    table = _streamnet.sap(_streamnet.films(), by=one)
    for cost, row in table.items():
        print(f"  {cost:4}" + "".join(f"{row[name]:22.1f}" for name in _streamnet.METHODS), flush=True)
    gains = {name: round(gain, 2) for name, gain in _streamnet.cached_gain().items()}
    said = ", ".join(f"{gain} ({name})" for name, gain in gains.items())
    print(f"processor time of four frames encoded anew over that of the cached way: {said}", flush=True)
    films = {cost: {name: round(ap, 1) for name, ap in row.items()} for cost, row in table.items()}
    return {"sap_films": films, "cached_gain": gains["ours"], "cached_gain_s": gains["s"]}


def of_paint(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what seeing costs the painter."""
    return paint_loss(options.rounds, options.seconds)


PARTS: Mapping[str, Callable[[argparse.Namespace], Mapping[str, Any]]] = {
    "world": of_world,
    "clip": of_clip,
    "roll-forward": of_roll_forward,
    "overlay": of_overlay,
    "streamnet": of_streamnet,
    "paint": of_paint,
}
"""What is measured, in turn; each prints its table and returns its figures."""


def judged(
    title: str,
    annotations: Mapping[str, Any],
    fps: float,
    streams: Callable[[float, Policy], list[Stream]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Print a row for each cost; return sAP, ms and staleness by cost, then by way or policy."""
    names = list(WAYS)
    print(f"\n{title}\n  cost" + "".join(f"{name + ' sAP':>12}" for name in names), end="")
    print(
        f"{'ours, waits':>13}{'staleness':>11}{'waits':>7}" + "".join(f"{name + ' ms':>11}" for name in names)
    )
    table: dict[str, dict[str, dict[str, float]]] = {"sap": {}, "sap_waits": {}, "staleness": {}, "ms": {}}
    for cost in COSTS:
        row: dict[Policy, dict[str, float]] = {}
        ms: dict[str, float] = {}
        ages = {}
        for policy in POLICIES:
            of = streams(cost, policy)
            ages[policy] = staleness(of[0].runs, of[0].frames, fps).mean_frames
            row[policy] = {}
            for name, way in WAYS.items():
                given = [timed(way, stream) for stream in of]
                if any(outputs is None for outputs, _ in given):
                    continue  # not here
                outputs = {sid: outputs or [] for sid, (outputs, _) in enumerate(given)}
                row[policy][name] = round(streaming_ap(annotations, outputs, fps).ap, 1)
                ms[name] = round(mean(spent for _, spent in given), 3)
        key = f"{cost:g}"
        table["sap"][key], table["sap_waits"][key] = row["newest"], row["shrinking-tail"]
        table["staleness"][key] = {policy: round(ages[policy], 2) for policy in POLICIES}
        table["ms"][key] = ms
        cells = "".join(f"{_shown(row['newest'].get(name)):>12}" for name in names)
        cells += f"{_shown(row['shrinking-tail'].get('ours')):>13}"
        cells += f"{ages['newest']:11.2f}{ages['shrinking-tail']:7.2f}"
        print(f"  {key:4}{cells}" + "".join(f"{_shown(ms.get(name)):>11}" for name in names), flush=True)
    return table


def loaded(name: str) -> tuple[Detector | None, str]:
    """Return a detector, or None and why there is none."""
    shelf: dict[str, Any] = {}

    def shared(key: str, make: Callable[[], Any]) -> Any:
        if key not in shelf:
            shelf[key] = make()
        return shelf[key]

    try:
        choose = importlib.import_module("perception.detectors.choose")
        return choose.load(name, shared, engine="auto", report=lambda _: None), ""
    except (ImportError, VitascopeError) as problem:
        return None, str(problem)


def only(found: Detections, kind: int) -> Detections:
    """Return the boxes of one kind, as the only one that there is."""
    which = found.kinds_N == kind
    return Detections(
        found.xyxy_N4[which],
        found.scores_N[which],
        np.zeros(int(which.sum()), np.int64),
        (found.names[kind],),
        found.ahead_s,
    )


def mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)


def _shown(value: float | None) -> str:
    return "not here" if value is None else f"{value:g}"
