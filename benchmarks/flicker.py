"""Does guidance by motion calm the painting, without changing it? Flicker, ghosts, structure, look and cost.

Three clips of a photograph with sensor noise (standard deviation 4 levels), whose motion is exactly known: a
portrait at rest, one that speaks, and a camera that pans while a cup goes by. Each is painted *without*
guidance, *with* it (stages `flow-maps` and `paint` with `coherence`, as in the preset `steady`), and as an
*average* without flow of the same weight, which must lose.

*Flicker* is the mean change of the painting against the one before moved along the clip's exact motion,
where that was to be seen before; the flow that guides is never asked. *Ghost* is the share of the picture
before that is left where it was. *Sharpness* is that of the slopes, over that of the painting without.
*Likeness* is the structural similarity to the painting without; for that one itself, from each picture to the
next along the motion, which is how much it varies anyway. *Edges* is the correlation of edges with those of
the noiseless camera picture. *Look* is the distance of colours and textures from the painting without (sliced
Wasserstein), and *another look* the same for another prompt: no network that judges pictures (LPIPS, CLIP) is
here. The cost is that of the whole graph, in segments that take turns: frames a second, and for a machine
that does other things beside the milliseconds of all processors a frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _flicker_clips as clips
from benchmarks import _flicker_scores as scores
from benchmarks._flicker_strip import draw_strip
from benchmarks._measure import median, print_table
from benchmarks.paint import House, Session
from perception.flow.maps import FlowMapsStage
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from pipelines.diffusion.steady import MOST
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.nodes import Node
from realtime.core.stage import StageContext

Painting = list[np.ndarray]
WORDS_WAIT_S = 30.0
COST_PICTURES = 24
STRIP_CLIP = "panning"
WAYS = ("without", "with", "average")
Rows = Mapping[str, Mapping[str, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="painter", help="catalog id or diffusers folder")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--size", type=int, default=256, help="edge of the picture, px")
    parser.add_argument("--prompts", nargs="+", default=["pencil sketch", "watercolor painting", "cartoon"])
    parser.add_argument("--other", default="pop art", help="another look, to compare distances with")
    parser.add_argument("--screen", default="mosaic tiles", help='a look of the screen; "" for none')
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), help="default: both")
    parser.add_argument("--coherence", type=float, default=1.0)
    parser.add_argument("--frames", type=int, default=22, help="pictures of a clip")
    parser.add_argument("--segments", type=int, default=6, help="turns of each side for the cost")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a segment")
    parser.add_argument("--strip", type=Path, help="write pictures side by side to this file")


class Brush:
    """Paint clips, without guidance or with it."""

    def __init__(self, house: House, options: argparse.Namespace) -> None:
        self._usual = {
            "model": options.model,
            "engine": options.engine,
            "precision": options.precision,
            "size_px": options.size,
        }
        self._stage, self._flow = PaintStage(), FlowMapsStage()
        self._stage.configure(PaintConfig(**self._usual))
        self._stage.open(StageContext("flicker", house.clock, house.share))
        self._flow.open(StageContext())
        self._painted: dict[tuple[int, str], Painting] = {}

    def plain(self, pictures: Sequence[np.ndarray], prompt: str) -> Painting:
        """Return the painting without guidance, made once."""
        key = (id(pictures), prompt)
        if key not in self._painted:
            self._painted[key] = self.paint(pictures, prompt, 0.0)
        return self._painted[key]

    def paint(self, pictures: Sequence[np.ndarray], prompt: str, coherence: float) -> Painting:
        """Return the painting of each picture, float32."""
        self._stage.configure(PaintConfig(**self._usual, prompt=prompt, coherence=coherence))
        assert self._stage._prompter is not None
        self._stage._prompter.wait(WORDS_WAIT_S)
        self._stage.reset()
        self._flow.reset()
        out: Painting = []
        for seq, pixels in enumerate(pictures):
            stamp = Stamp("clip", seq, seq * 3000, VIDEO_CLOCK, seq * NS_PER_S // 30)
            frame = Frame(stamp, pixels.copy())
            if coherence > 0:
                (given,) = self._flow.process(frame)
                frame = given.value
            out += [one.value.pixels.astype(np.float32) for one in self._stage.process(frame)]
        while self._stage.batch:
            out += [one.value.pixels.astype(np.float32) for one in self._stage.process(None)]
        return out

    def close(self) -> None:
        self._stage.close()
        self._flow.close()


def averaged(painting: Painting, share: float) -> Painting:
    """Return the running average that knows no motion."""
    out = [painting[0]]
    for one in painting[1:]:
        out.append(one + np.float32(share) * (out[-1] - one))
    return [np.rint(one) for one in out]


def judged(
    brush: Brush, clip: clips.Clip, prompt: str, other: str, coherence: float
) -> tuple[dict[str, Painting], Rows]:
    """Paint a clip in all ways; return the paintings and a row of figures for each way."""
    ways = {"without": brush.plain(clip.noisy, prompt)}
    ways["with"] = brush.paint(clip.noisy, prompt, coherence)
    ways["average"] = averaged(ways["without"], MOST * coherence)
    clean, another = brush.plain(clip.clean, prompt), brush.plain(clip.noisy, other)
    side = len(clean[0])
    varies = scores.varies(ways["without"], clip.flows_HW2)
    cameras = [scores.square_of(one, side) for one in clip.clean]
    rows = {
        name: {
            "flicker": scores.flicker(out, clip.flows_HW2, clip.visible_HW),
            "ghost": scores.ghost(out, clean),
            "sharpness": scores.sharpness(out) / scores.sharpness(ways["without"]),
            "likeness": varies if out is ways["without"] else scores.likeness(out, ways["without"]),
            "edges": scores.edges_kept(out, cameras),
            "look": scores.look_apart(out, ways["without"]),
            "another_look": scores.look_apart(another, ways["without"]),
        }
        for name, out in ways.items()
    }
    return ways, rows


def show(title: str, rows: Rows) -> None:
    names = list(next(iter(rows.values())))
    print(f"\n{title}\n  {'':10}" + "".join(f"{name.replace('_', ' '):>14}" for name in names))
    for way, row in rows.items():
        print(f"  {way:10}" + "".join(f"{row[name]:14.3f}" for name in names), flush=True)


def drop(rows: Rows, way: str = "with") -> float:
    return 1.0 - rows[way]["flicker"] / rows["without"]["flicker"]


class Guided(Session):
    """Run the graph of the preset `steady`."""

    def nodes(self, config: PaintConfig) -> list[Node]:
        motion, paint = FlowMapsStage(), super().nodes(config)[0]
        spec = FlowMapsStage.spec
        return [
            Node("motion", motion, spec, spec.config()),
            Node("paint", paint.stage, paint.spec, paint.config, "motion"),
        ]


def cost(house: House, options: argparse.Namespace) -> dict[str, Any]:
    """Return the frame rates without guidance and with it, in turns, and the share that is lost."""
    pictures = clips.made("panning", COST_PICTURES).noisy
    usual = {"model": options.model, "engine": options.engine, "precision": options.precision}
    config = PaintConfig(**usual, size_px=options.size, prompt=options.prompts[0])
    plain = Session(house, config, "plain")
    guided = Guided(house, config.model_copy(update={"coherence": options.coherence}), "guided")
    rates: dict[str, list[float]] = {"without": [], "with": []}
    cpu_ms: dict[str, list[float]] = {"without": [], "with": []}
    sides = [("without", plain), ("with", guided)]
    for _, session in sides:
        session.feed(pictures, 1.0)
    for turn in range(options.segments):
        for name, session in sides if turn % 2 == 0 else reversed(sides):
            painted, began_s = session.reader.count, time.process_time()
            rates[name].append(session.feed(pictures, options.seconds))
            spent_s = time.process_time() - began_s
            cpu_ms[name].append(1000 * spent_s / max(session.reader.count - painted, 1))
    for _, session in sides:
        session.close()
    ratios = [with_it / without for without, with_it in zip(rates["without"], rates["with"], strict=True)]
    found = {
        "fps_without": round(median(rates["without"]), 2),
        "fps_with": round(median(rates["with"]), 2),
        "paint_loss": round(1.0 - median(ratios), 3),
        "cpu_ms_without": round(median(cpu_ms["without"]), 1),
        "cpu_ms_with": round(median(cpu_ms["with"]), 1),
    }
    print_table(found)
    return found


def quality(house: House, options: argparse.Namespace) -> dict[str, Any]:
    """Judge all clips in all prompts; return the means over prompts by clip, and the drop of flicker."""
    brush = Brush(house, options)
    made = {name: clips.made(name, options.frames) for name in clips.WAYS}
    tables: dict[str, list[Rows]] = {name: [] for name in made}
    for k, prompt in enumerate(options.prompts):
        for name, clip in made.items():
            paintings, rows = judged(brush, clip, prompt, options.other, options.coherence)
            show(f"{name}, {prompt}", rows)
            tables[name].append(rows)
            if options.strip and name == STRIP_CLIP and k == 0:
                draw_strip(options.strip, paintings, clip)
    figures: dict[str, Any] = {}
    drops = {name: [drop(rows) for rows in found] for name, found in tables.items()}
    every = [one for found in drops.values() for one in found]
    figures |= {f"flicker_drop_{name}": mean(found) for name, found in drops.items()}
    figures |= {"flicker_drop": mean(every), "flicker_drop_least": round(min(every), 3)}
    for name, found in tables.items():
        for way in WAYS:
            for score in found[0][way]:
                figures[f"{way}.{score}.{name}"] = mean([rows[way][score] for rows in found])
    if options.screen:
        _, rows = judged(brush, made["panning"], options.screen, options.other, options.coherence)
        show(f"panning, {options.screen}: it stands on the screen and is left alone where things move", rows)
        figures |= {f"screen.{score}": round(value, 3) for score, value in rows["with"].items()}
    brush.close()
    return figures


def mean(values: Sequence[float]) -> float:
    return round(float(sum(values) / len(values)), 3)


PARTS = {"quality": quality, "cost": cost}


def run(options: argparse.Namespace) -> dict[str, Any]:
    house = House()
    figures: dict[str, Any] = {}
    for name in options.parts or PARTS:
        figures |= PARTS[name](house, options)
    house.lanes.close()
    return figures
