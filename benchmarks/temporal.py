"""What consistency costs and brings: warping error, flicker, ghosts and time of each way against none.

Two clips of a photograph (astronaut, scikit-image) with sensor noise: one where nothing moves, which ends in
a cut to another photograph, and one that pans and zooms. *Flicker* is the mean change of the painting from
picture to picture where nothing moves. *Warping error* is how much the painting differs from the one before
moved along the input's optical flow (OpenCV's DIS), where forward and backward flow agree. *PSNR* is against
the painting without any of it on the moving clip, *to clean* against the painting of the noiseless picture.
*Ghost frames* are those after the cut until the painting stays within a level of what it settles at. Times
are the least of the rounds: wall clock, processor time of all, and that of the network's calls alone.

The embedded painter has no self-attention, so memory and cross-frame attention run on a tiny model of random
weights: its figures say what they cost and that nothing breaks, and nothing about looks.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._measure import median
from benchmarks.paint import House
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext

Picture = np.ndarray
RATE = 3000
"""Ticks of the video clock a picture: 30 a second."""
WAYS: Mapping[str, Mapping[str, Any]] = {
    "off": {},
    "feedback": {"feedback": 0.8, "flow_strength": 0.0},
    "feedback_flow": {"feedback": 0.8},
    "reuse_2": {"reuse_interval": 2, "reuse_alike": 0.0},
    "reuse_4": {"reuse_interval": 4, "reuse_alike": 0.0},
    "reuse_4_alike": {"reuse_interval": 4, "reuse_alike": 0.5},
    "feedback_reuse_2": {"feedback": 0.8, "reuse_interval": 2},
}
ATTENTION_WAYS: Mapping[str, Mapping[str, Any]] = {
    "off": {},
    "memory": {"memory": 1.0},
    "cross_frame": {"cross_frame": 1.0},
    "memory_cross_frame": {"memory": 1.0, "cross_frame": 1.0},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="painter", help="catalog id or diffusers folder")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--size", type=int, default=256, help="edge of the picture, px")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--prompt", default="watercolor painting")
    parser.add_argument("--frames", type=int, default=24, help="pictures of a clip")
    parser.add_argument("--noise", type=float, default=4.0, help="sensor noise, grey levels")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way, for the times")


@dataclass(frozen=True, slots=True, eq=False)
class MappedFrame(Frame):
    """Carry maps, also where a frame has none of its own."""

    maps: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clip:
    """Hold pictures and the motion between them."""

    pictures: Sequence[Picture]
    flows_HW2: Sequence[Picture]
    """From each picture to the one before; the first is nothing."""
    backs_HW2: Sequence[Picture]


def noisy(picture: Picture, sigma: float, seed: int) -> Picture:
    draw = np.random.default_rng(seed)
    return (picture + draw.normal(0.0, sigma, picture.shape)).round().clip(0, 255).astype(np.uint8)


def view(photo: Picture, size: int, at: float) -> Picture:
    """Return a window of a photograph that goes and grows smoothly, at any fraction of a pixel."""
    side = min(photo.shape[:2])
    window = side * (0.72 - 0.06 * np.sin(at / 9))
    left, top = (
        (side - window) * (0.5 + 0.4 * np.sin(at / 13)),
        (side - window) * (0.4 + 0.3 * np.cos(at / 17)),
    )
    scale = window / size
    matrix = np.array([[scale, 0, left], [0, scale, top]], np.float32)
    soft = cv2.GaussianBlur(photo, (0, 0), max(0.45 * scale, 0.3))
    return np.asarray(
        cv2.warpAffine(soft, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8
    )


def flow(now: Picture, then: Picture) -> Picture:
    """Return where each pixel of `now` was in `then`, (H, W, 2)."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (now, then)]
    return np.asarray(dis.calc(greys[0], greys[1], np.zeros((*greys[0].shape, 2), np.float32)), np.float32)


def clip_of(pictures: Sequence[Picture]) -> Clip:
    none = np.zeros((*pictures[0].shape[:2], 2), np.float32)
    flows = [none, *(flow(now, then) for then, now in pairwise(pictures))]
    backs = [none, *(flow(then, now) for then, now in pairwise(pictures))]
    return Clip(pictures, flows, backs)


def along(picture: Picture, flow_HW2: Picture) -> Picture:
    """Return a picture moved along a flow."""
    y, x = np.mgrid[0 : len(picture), 0 : picture.shape[1]].astype(np.float32)
    at_x, at_y = x + flow_HW2[..., 0], y + flow_HW2[..., 1]
    return np.asarray(
        cv2.remap(picture.astype(np.float32), at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    )


def seen_before(flow_HW2: Picture, back_HW2: Picture) -> Picture:
    """Return which pixels were seen in the picture before (Sundaram et al. 2010), (H, W)."""
    inside = along(np.ones(flow_HW2.shape[:2], np.float32), flow_HW2) > 0.99
    there = along(back_HW2, flow_HW2)
    missed, moved = ((flow_HW2 + there) ** 2).sum(-1), (flow_HW2**2).sum(-1) + (there**2).sum(-1)
    return np.asarray(inside & (missed < 0.01 * moved + 0.5))


def warping_error(out: Sequence[Picture], clip: Clip) -> float:
    """Return the mean difference from the picture before, moved along, in grey levels."""
    errors = []
    for k in range(1, len(out)):
        seen = seen_before(clip.flows_HW2[k], clip.backs_HW2[k])
        errors.append(float(np.abs(out[k] - along(out[k - 1], clip.flows_HW2[k]))[seen].mean()))
    return float(np.mean(errors))


def flicker(out: Sequence[Picture]) -> float:
    return float(np.mean([np.abs(b - a).mean() for a, b in pairwise(out)]))


def psnr_db(out: Sequence[Picture], other: Sequence[Picture]) -> float:
    """Return the PSNR over a clip, dB; 99 for the same."""
    error = float(np.mean([((a - b) ** 2).mean() for a, b in zip(out, other, strict=True)]))
    return min(10 * float(np.log10(255**2 / max(error, 1e-9))), 99.0)


def paint(stage: PaintStage, clip: Clip) -> tuple[list[Picture], list[float], float]:
    """Return the paintings, the milliseconds of each picture, and the processor's milliseconds a picture."""
    stage.reset()
    out: list[Picture] = []
    times: list[float] = []
    began_s = time.process_time()
    for seq, pixels in enumerate(clip.pictures):
        maps = {"flow": clip.flows_HW2[seq], "flow_back": clip.backs_HW2[seq]} if seq else {}
        stamp = Stamp("clip", seq, seq * RATE, VIDEO_CLOCK, 0)
        began_ns = time.perf_counter_ns()
        done = list(stage.process(MappedFrame(stamp, pixels, maps)))
        times.append((time.perf_counter_ns() - began_ns) / 1e6)
        out += [emitted.value.pixels.astype(np.float32) for emitted in done]
    cpu_ms = (time.process_time() - began_s) * 1e3 / len(clip.pictures)
    while stage.batch:
        out += [emitted.value.pixels.astype(np.float32) for emitted in stage.process(None)]
    return out, times, cpu_ms


def ghost_frames(out: Sequence[Picture], cut: int) -> int:
    """Return after how many pictures from the cut on the painting stays within a level of where it settles.

    A level more than the last pictures differ among themselves: the camera's noise is in them too.
    """
    settled = np.mean(out[-3:], axis=0)
    apart = [float(np.abs(picture - settled).mean()) for picture in out[cut:]]
    most = max(apart[-3:]) * 1.5 + 1.0
    return max((k + 1 for k, value in enumerate(apart) if value > most), default=0)


class Meter:
    """Stand in for `Painter.denoise` and add up its milliseconds of processor time."""

    def __init__(self, painter: Any) -> None:
        self._denoise = painter.denoise
        self.ms = 0.0

    def __call__(self, rows: Any) -> Any:
        began_s = time.process_time()
        found = self._denoise(rows)
        self.ms += (time.process_time() - began_s) * 1e3
        return found


def compare(
    house: House, usual: Mapping[str, Any], ways: Mapping[str, Mapping[str, Any]], options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Paint both clips in each way, in turns; return the figures of each."""
    from skimage.data import astronaut, chelsea

    size, count = options.size, options.frames
    scene, other = view(astronaut(), size, 0.0), view(chelsea(), size, 0.0)
    half = [noisy(scene, options.noise, k) for k in range(count)]
    still = clip_of(half + [noisy(other, options.noise, 100 + k) for k in range(count // 2)])
    moving = clip_of([noisy(view(astronaut(), size, k), options.noise, 200 + k) for k in range(count)])
    clean = clip_of([scene] * (options.steps + 1))

    stages: dict[str, PaintStage] = {}
    for name, way in ways.items():
        stages[name] = PaintStage()
        stages[name].configure(PaintConfig(**{**usual, "skip_still": False, **way}))
        stages[name].open(StageContext(name, house.clock, house.share))
        paint(stages[name], clean)
    target, _, _ = paint(stages["off"], clean)

    meter = stages["off"].painter.denoise = Meter(stages["off"].painter)  # type: ignore[method-assign]
    times: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    net: dict[str, list[float]] = {name: [] for name in ways}
    painted: dict[str, list[Picture]] = {}
    for _ in range(options.rounds):
        for name, stage in stages.items():
            meter.ms = 0.0
            painted[name], wall_ms, cpu_ms = paint(stage, moving)
            net[name].append(meter.ms / count)
            times[name].append(median(wall_ms))
            cpu[name].append(cpu_ms)
    rest = {name: paint(stage, still)[0] for name, stage in stages.items()}
    figures = {}
    for name in ways:
        steady = rest[name][count // 3 : count]
        figures[name] = {
            "flicker": flicker(steady),
            "to_clean_db": psnr_db(steady, [target[0]] * len(steady)),
            "warping_error": warping_error(painted[name], moving),
            "psnr_to_off_db": psnr_db(painted[name], painted["off"]),
            "ghost_frames": float(ghost_frames(rest[name], count)),
            "ms": min(times[name]),
            "net_cpu_ms": min(net[name]),
            "cpu_ms": min(cpu[name]),
        }
    for stage in stages.values():
        stage.close()
    return figures


def show(title: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    names = list(next(iter(figures.values())))
    print(f"\n{title}\n  {'':20}" + "".join(f"{name:>16}" for name in names))
    for way, row in figures.items():
        print(f"  {way:20}" + "".join(f"{row[name]:16.2f}" for name in names), flush=True)


def run(options: argparse.Namespace) -> dict[str, Any]:
    house = House()
    usual = {
        "engine": options.engine,
        "precision": options.precision,
        "size_px": options.size,
        "prompt": options.prompt,
    }
    painter = compare(house, {**usual, "model": options.model, "steps": options.steps}, WAYS, options)
    show(f"{options.model}, {options.size} px, {options.steps} steps, noise {options.noise:g}", painter)
    with tempfile.TemporaryDirectory() as folder:
        tiny = importlib.import_module("tests.tiny")
        random = str(tiny.make_folder(Path(folder) / "random", "sd"))
        random_usual = {**usual, "model": random, "steps": 2, "strength": 0.5}
        options.steps = 2
        attention = compare(house, random_usual, ATTENTION_WAYS, options)
    show("random weights with attention, 2 steps", attention)
    house.lanes.close()
    return {
        f"{group}.{way}.{name}": round(value, 3)
        for group, rows in (("painter", painter), ("random", attention))
        for way, row in rows.items()
        for name, value in row.items()
    }
