"""What do pictures between paintings bring, and cost? Ten paintings a second shown at thirty, moved or held.

Films of held-out photographs in layers (training/flow/scenes.py), 640x480 and 30 a second: the camera moves,
and up to seven things before it, with noise in half of them. The embedded painter paints each picture, once
and beforehand. Shown are then, as a viewer would see them, at each camera picture: *all*, the painting of
that very picture, at once, which no painter can give (the ideal); *repeat*, the newest painting there is;
*fill*, that one moved to the present by the stage. A painting is begun at every third picture and there three
later, so it is 100 ms old when it comes and 167 ms before the next one replaces it.

*Warping error*: how much a shown picture differs from the next one along the films' exact motion, where both
show the same, in grey levels. *To all*: how much it differs from the ideal; *hidden* where the painted moment
did not show what is there now. *Sharpness*: variance of the Laplacian over that of the ideal. *Judder*: what
is shown goes by fits and starts; how much further or less far the picture as a whole goes from one shown
picture to the next than the ideal does, over the way of that (root mean squares of medians). *Ages*: of the
moment that a picture shows and of the paint in it. *CPU*: of one thread, a shown picture, the stage alone.

*Live* are the presets `paint` and `fluent` as a session runs them, with the painter as fast as it is here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._fill_live import live
from benchmarks._measure import median
from benchmarks.paint import House
from perception.fill.config import FillConfig
from perception.fill.stage import FillStage
from perception.flow.check import cells
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.pictures import square
from pipelines.diffusion.stage import PaintStage
from realtime.core.clock import NS_PER_S, ManualClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext
from training.flow.scenes import HELD_OUT, Ranges, Scene, scene

Picture = np.ndarray
SIZE_PX = (640, 480)
FPS = 30
FIRST_SEED = 900_000
"""Training takes seeds below."""
RANGES = Ranges(fastest_px=8.0, pan_px=5.0)
HELD, SEEN = 0.3, 0.01
"""Share of a painted pixel that is hidden, from which it counts as hidden; and up to which as seen."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--films", type=int, default=6)
    parser.add_argument("--frames", type=int, default=36, help="pictures of a film")
    parser.add_argument("--every", type=int, default=3, help="a painting is begun at every so many pictures")
    parser.add_argument("--late", type=int, default=3, help="and there so many pictures later")
    parser.add_argument("--size", type=int, default=256, help="side of a painting, px")
    parser.add_argument("--prompt", default="watercolor painting")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--live", type=float, default=10.0, help="seconds of each live graph; 0: none")
    parser.add_argument("--folder", help="write the last film's shown pictures there, side by side")


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Hold a film, its paintings, and its truth at their size."""

    camera: Sequence[Picture]
    painted: Sequence[Picture]
    flows_HW2: Sequence[Picture]
    """From each picture to the next, in px of a painting."""
    seen_HW: Sequence[Picture]
    """What of each picture is to be seen in the next."""
    hidden_HW: Mapping[int, Picture]
    """What of a picture was not to be seen when the painting shown in it was begun."""


def run(options: argparse.Namespace) -> dict[str, Any]:
    cv2.setNumThreads(1)
    house = House()
    painter = PaintStage()
    painter.configure(
        PaintConfig(
            engine=options.engine,
            precision="fp32",
            size_px=options.size,
            prompt=options.prompt,
            skip_still=False,
        )
    )
    painter.open(StageContext("fill", house.clock, house.share))
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + options.films):
        clip = clip_of(scene(seed, SIZE_PX, names=HELD_OUT, ranges=RANGES), painter, options)
        for name, shown in ways(clip, options).items():
            rows.setdefault(name, []).append(judged(clip, shown))
        print(f"  film {seed}: " + told(rows, -1), flush=True)
        if options.folder:
            write(Path(options.folder), seed, clip, ways(clip, options))
    painter.close()
    house.lanes.close()
    table = {name: {key: mean(found, key) for key in found[0]} for name, found in rows.items()}
    names = list(next(iter(table.values())))
    print("\n  " + " " * 8 + "".join(f"{name:>15}" for name in names))
    for name, row in table.items():
        print(f"  {name:8}" + "".join(f"{row[key]:15.3f}" for key in names), flush=True)
    figures = {f"{name}_{key}": round(value, 3) for name, row in table.items() for key, value in row.items()}
    if options.live:
        print("\n  live, 30 pictures a second", flush=True)
        found = live(clip.camera, options.live, options.engine)
        figures |= {f"live_{name}_{key}": value for name, row in found.items() for key, value in row.items()}
    return figures


def clip_of(of: Scene, painter: PaintStage, options: argparse.Namespace) -> Clip:
    side, count = options.size, options.frames
    camera = [of.picture(t) for t in range(count)]
    frames = [Frame(stamp(t), one.copy()) for t, one in enumerate(camera)]
    painted = [one.value.pixels for frame in frames for one in painter.process(frame)]
    painter.reset()
    truths = [of.truth(t, t + 1) for t in range(count - 1)]
    scale = np.float32(side / min(SIZE_PX))
    return Clip(
        camera,
        painted,
        [square(flow, side) * scale for flow, _ in truths],
        [square(hidden.astype(np.float32), side) < SEEN for _, hidden in truths],
        {
            t: square(of.truth(t, begun(t, options))[1].astype(np.float32), side) > HELD
            for t in range(options.late, count)
        },
    )


def begun(t: int, options: argparse.Namespace) -> int:
    """Return which picture the newest painting at picture `t` is of."""
    return int(options.every * ((t - options.late) // options.every))


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Hold what a viewer sees at each picture of the camera, and how old that is."""

    pictures: Mapping[int, Picture]
    age_ms: float
    paint_age_ms: float
    cpu_ms: float = 0.0


def ways(clip: Clip, options: argparse.Namespace) -> dict[str, Shown]:
    """Return what is shown in each way."""
    at = range(options.late, len(clip.camera))
    held_ms = float(np.mean([t - begun(t, options) for t in at])) * 1000 / FPS
    return {
        "all": Shown({t: clip.painted[t] for t in at}, 0.0, 0.0),
        "repeat": Shown({t: clip.painted[begun(t, options)] for t in at}, held_ms, held_ms),
        "fill": filled(clip, options),
    }


def filled(clip: Clip, options: argparse.Namespace) -> Shown:
    """Return what the stage shows: each picture with the age that its stamp says."""
    newest: list[Frame] = []
    clock, stage = ManualClock(NS_PER_S), FillStage()
    stage.configure(FillConfig())
    stage.open(StageContext(clock=clock, watched={"paint": lambda: newest[-1] if newest else None}))
    pictures: dict[int, Picture] = {}
    spent_ms: list[float] = []
    ages_ms: list[float] = []
    for t, pixels in enumerate(clip.camera):
        clock.advance(ms=(stamp(t).captured_ns - clock.now_ns()) / 1e6)
        if t >= options.late and (t - options.late) % options.every == 0:
            of = begun(t, options)
            newest.append(Frame(stamp(of), clip.painted[of]))
        frame = Frame(stamp(t), pixels)
        begun_s = time.thread_time()
        given = stage.process(frame)
        took_ms = 1000 * (time.thread_time() - begun_s)
        if t < options.late:
            continue
        spent_ms.append(took_ms)
        pictures[t] = given[0].value.pixels if given else pictures[t - 1]
        ages_ms.append(given[0].stamp.age_ms(clock.now_ns()) if given else 1000 / FPS + ages_ms[-1])
    figures = stage.figures()
    stage.close()
    return Shown(pictures, float(np.mean(ages_ms)), figures["paint_age_p50_ms"], median(spent_ms))


def judged(clip: Clip, shown: Shown) -> dict[str, float]:
    """Return the figures of what is shown of one film."""
    steps, apart, hidden, sharp, behind, way2 = [], [], [], [], [], []
    for t, picture in shown.pictures.items():
        error_HW = np.abs(picture.astype(np.float32) - clip.painted[t]).mean(-1)
        apart.append(float(error_HW.mean()))
        if clip.hidden_HW[t].any():
            hidden.append(float(error_HW[clip.hidden_HW[t]].mean()))
        sharp.append(detail(picture) / detail(clip.painted[t]))
        after = shown.pictures.get(t + 1)
        if after is None:
            continue
        flow_HW2, seen_HW = clip.flows_HW2[t], clip.seen_HW[t]
        target = cells(*seen_HW.shape) + flow_HW2
        next_HW3: Any = cv2.remap(after.astype(np.float32), target, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
        inside = seen_HW & (target >= 0).all(-1) & (target <= len(seen_HW) - 1).all(-1)
        steps.append(float(np.abs(next_HW3 - picture)[inside].mean()))
        behind.append(lag(clip.painted[t], picture))
        way2.append((np.median(flow_HW2[inside], axis=0) ** 2).sum())
    return {
        "warping_error": float(np.mean(steps)),
        "to_all": float(np.mean(apart)),
        "hidden_to_all": float(np.mean(hidden)) if hidden else 0.0,
        "sharpness": float(np.mean(sharp)),
        "judder": float(np.sqrt((np.diff(behind, axis=0) ** 2).sum() / sum(way2[1:]))),
        "age_ms": shown.age_ms,
        "paint_age_ms": shown.paint_age_ms,
        "cpu_ms": shown.cpu_ms,
    }


def lag(ideal: Picture, shown: Picture) -> Picture:
    """Return by how much what is shown is elsewhere than in the ideal picture, as a whole, in px (2,)."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (ideal, shown)]
    found: Any = dis.calc(greys[0], greys[1], None)  # type: ignore[call-overload]
    return np.asarray(np.median(found.reshape(-1, 2), axis=0))


def detail(picture: Picture) -> float:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def stamp(t: int) -> Stamp:
    return Stamp("camera", t, 3000 * t, VIDEO_CLOCK, NS_PER_S + round(t * NS_PER_S / FPS))


def mean(rows: Sequence[Mapping[str, float]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def told(rows: Mapping[str, Sequence[Mapping[str, float]]], which: int) -> str:
    return ", ".join(f"{name} {found[which]['warping_error']:.2f}" for name, found in rows.items())


def write(folder: Path, seed: int, clip: Clip, shown: Mapping[str, Shown]) -> None:
    """Write some moments: camera, all, repeat, fill."""
    folder.mkdir(parents=True, exist_ok=True)
    side = clip.painted[0].shape[0]
    for t in sorted(shown["fill"].pictures)[6::7]:
        parts = [square(clip.camera[t], side), *(one.pictures[t] for one in shown.values())]
        row = cv2.cvtColor(np.concatenate(parts, axis=1), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{seed}-{t:03d}.png"), row)
