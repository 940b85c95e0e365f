"""How far is the flow off, and what does it cost? Inverse search, Farneback's, our network, and no flow.

Made films of 640x360 have exact flow: in *camera* one held-out photograph is moved as by a camera, in
*layers* up to seven cut-outs move before it, each its own way; what they cover in the next picture, or what
leaves it, is judged apart. *Stereo* is real: two cameras side by side before a motorcycle, which see things
up to 60 px apart.

Errors are end-point errors in px, the mean over pixels; time is that of the processor, over all threads, of
one flow in one direction, the median. The network works as in a live stream: its window ends with the newest
picture and begins with the flow of the window before. What windows of several pictures gain is told apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import cv2
import numpy as np

from benchmarks import _flow_films as films
from benchmarks._measure import median
from perception.flow.config import FlowConfig
from perception.flow.dis import PRESETS, Dis
from perception.flow.stage import FlowStage
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext

Method = tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]
"""What prepares a picture (H, W, 3), and what finds the flow from one prepared picture to another."""
FAR_PX = 3.0
DEFAULT = FlowConfig().method


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), help="default: all")
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--frames", type=int, default=4, help="pictures of a film")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do every part; each returns some of the figures."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    figures: dict[str, Any] = {}
    try:
        for name in options.parts or PARTS:
            figures.update(PARTS[name](options))
    finally:
        cv2.setNumThreads(threads)
    return figures


def methods() -> dict[str, Method]:
    """Return all that is judged, by name; a network joins here."""
    found: dict[str, Method] = {}
    for name in PRESETS:
        one = Dis(name)
        found[name] = (one.seen, one.flow)
    network = _network()
    if network is not None:
        found[network[0]] = network[1]
    found["farneback"] = (found[DEFAULT][0], farneback)
    found["zero"] = (found[DEFAULT][0], lambda before, now: np.zeros((*before.shape, 2), np.float32))
    return found


@cache
def _network() -> tuple[str, Method] | None:
    """Return the network that comes along, with its name; None where it does not."""
    from benchmarks._streamflow import Windows
    from perception.flow.streamflow import ID, net_of
    from realtime.core.errors import ModelError

    try:
        one = Windows(net_of(FlowConfig(method="streamflow")))
    except ModelError:
        return None
    return ID, (one.seen, one.flow)


def farneback(before: Any, now: Any) -> Any:
    """Return the flow of polynomial expansion (Farneback, SCIA 2003) as OpenCV's samples set it."""
    return cv2.calcOpticalFlowFarneback(before, now, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]


def of_camera(options: argparse.Namespace) -> dict[str, Any]:
    """Judge the flow of a camera that moves before a photograph."""
    pairs = list(films.made(options.films, options.frames, things=False))
    table = judged("made films, the camera moves", pairs)
    row = table[DEFAULT]
    return {"synthetic_epe_default": row["visible"], "cpu_ms_default": row["ms"], "camera": table}


def of_layers(options: argparse.Namespace) -> dict[str, Any]:
    """Judge the flow of things that move before each other."""
    table = judged("made films, things move too", films.made(options.films, options.frames, things=True))
    row = table[DEFAULT]
    return {
        "layers_epe_default": row["visible"],
        "layers_occluded_epe_default": row["occluded"],
        "layers": table,
    }


def of_stereo(_: argparse.Namespace) -> dict[str, Any]:
    """Judge the flow of a real pair of pictures."""
    table = judged("stereo pair", [films.stereo()] * 3)
    return {"stereo_epe_default": table[DEFAULT]["visible"], "stereo": table}


def of_stage(options: argparse.Namespace) -> dict[str, Any]:
    """Time the whole stage: both ways, the check, the camera."""
    costs = {}
    print("\nthe whole stage, a picture of 640x360")
    for name, config in (("whole", FlowConfig()), ("half", FlowConfig(half=True))):
        stage, spent_ms = FlowStage(), []
        stage.configure(config)
        stage.open(StageContext())
        for seq, pair in enumerate(films.made(options.films, 3, things=True)):
            frame = Frame(_stamp(seq), pair.first_HW3.copy())
            begun_s = time.process_time()
            (given,) = stage.process(frame)
            if given.value.before is not None:
                spent_ms.append(1000 * (time.process_time() - begun_s))
        stage.close()
        costs[name] = round(median(spent_ms), 2)
        print(f"  {name + ' size':14} {costs[name]:8.2f} CPU-ms", flush=True)
    return {"stage_cpu_ms": costs["whole"], "stage_half_cpu_ms": costs["half"]}


def of_windows(_: argparse.Namespace) -> dict[str, Any]:
    """Measure what windows of several pictures gain: against windows one picture apart, and against pairs."""
    from benchmarks._streamflow import pair_ratio, window_gain

    found = {"window_gain": round(window_gain(), 3), "pair_ratio": round(pair_ratio(), 3)}
    print("\nwindows of four pictures, processor time of a flow")
    print(f"  one picture apart, over whole windows  {found['window_gain']:6.2f}")
    print(f"  whole windows, over pairs              {found['pair_ratio']:6.2f}", flush=True)
    return found


def of_flicker(_: argparse.Namespace) -> dict[str, Any]:
    """Measure what a painter gains: how much less it flickers, and what share of its rate that costs."""
    from benchmarks import flicker

    parser = argparse.ArgumentParser()
    flicker.add_arguments(parser)
    cv2.setNumThreads(-1)  # a painter works with all that there are
    try:
        found = flicker.run(parser.parse_args([]))
    finally:
        cv2.setNumThreads(1)
    return {name: found[name] for name in ("flicker_drop", "flicker_drop_least", "paint_loss")}


PARTS: Mapping[str, Callable[[argparse.Namespace], Mapping[str, Any]]] = {
    "camera": of_camera,
    "layers": of_layers,
    "stereo": of_stereo,
    "stage": of_stage,
    "windows": of_windows,
    "flicker": of_flicker,
}
"""What is measured, in turn; each prints its table and returns its figures."""


def judged(title: str, pairs: Iterable[films.Pair]) -> dict[str, dict[str, float]]:
    """Print a row for each method; return its errors in px, the share that is far off, and its time."""
    ways = methods()
    errors: dict[str, list[tuple[Any, Any]]] = {name: [] for name in ways}
    spent_ms: dict[str, list[float]] = {name: [] for name in ways}
    for pair in pairs:
        for name, (seen, flow) in ways.items():
            before, now = seen(pair.first_HW3), seen(pair.second_HW3)
            begun_s = time.process_time()
            found = flow(before, now)
            spent_ms[name].append(1000 * (time.process_time() - begun_s))
            off = np.linalg.norm(found - pair.flow_HW2, axis=-1)
            errors[name].append(
                (off[pair.known_HW & ~pair.occluded_HW], off[pair.known_HW & pair.occluded_HW])
            )
    print(f"\n{title}\n  {'':14}{'visible':>9}{'> 3 px':>9}{'occluded':>10}{'CPU-ms':>9}")
    table = {}
    for name, found in errors.items():
        visible = np.concatenate([one for one, _ in found])
        hidden = np.concatenate([one for _, one in found])
        row = {"visible": float(visible.mean()), "far_share": float((visible > FAR_PX).mean())}
        row |= {"occluded": float(hidden.mean())} if len(hidden) else {}
        row["ms"] = median(spent_ms[name])
        table[name] = {key: round(value, 3) for key, value in row.items()}
        occluded = f"{row['occluded']:10.2f}" if "occluded" in row else f"{'-':>10}"
        print(
            f"  {name:14}{row['visible']:9.3f}{100 * row['far_share']:8.1f}%{occluded}{row['ms']:9.2f}",
            flush=True,
        )
    return table


def _stamp(seq: int) -> Stamp:
    return Stamp("films", seq, 3000 * seq, VIDEO_CLOCK, round(seq * NS_PER_S / 30))
