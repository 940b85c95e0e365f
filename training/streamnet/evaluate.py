"""What the shipped detector can do, on films and photographs that training never saw.

python -m training.streamnet.evaluate --write    # figures.json, strip.jpg and the card in models/streamnet
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from perception.detectors.base import Detector
from perception.metrics.sap import Output, offline_ap, streaming_ap
from perception.metrics.streaming import Run

from training.streamnet.export import MODEL
from training.streamnet.streams import COSTS, METHODS, Said, Streams, held_out, outputs, said

PAST = 3


def every_frame(frames: int, fps: float) -> list[Run]:
    """Return runs on all frames that take no time."""
    return [Run(k, k / fps, k / fps) for k in range(frames)]


def told(streams: Streams, detector: Detector, step: int) -> list[list[Said]]:
    """Return what the detector says of every frame, told to foresee by that many frames; 0: the present."""
    return [said(detector, one, every_frame(len(one), streams.fps), step / streams.fps, streams.fps) for one in streams.films]


def scored(streams: Streams, each: Sequence[Sequence[Said]], ahead: int, first: int) -> float:
    """Return the AP of what was said at a frame against the truth `ahead` frames later, from frame `first` on."""
    given: dict[int, Output] = {}
    for image in streams.annotations["images"]:
        before = image["fid"] - ahead
        if before >= first:
            given[image["id"]] = each[image["sid"]][before].output
    part = dict(streams.annotations)
    part["images"] = [image for image in part["images"] if image["id"] in given]
    part["annotations"] = [one for one in part["annotations"] if one["image_id"] in given]
    return offline_ap(part, given).ap


def horizons(streams: Streams, detector: Detector, steps: Sequence[int] = (1, 2, 3, 4)) -> dict[str, dict[str, float]]:
    """Return, for each step, the AP of the forecast and of the same network that sees no past, against the future.

    The network without a past is given the current frame in place of those before: what it says of the
    present is then held against the future. "present" is its AP against the present, a ceiling for all.
    """
    blind = told(streams, detector, 0)
    first = PAST * max(steps)
    found = {"0": {"present": scored(streams, blind, 0, first)}}
    for step in steps:
        seen = told(streams, detector, step)
        found[str(step)] = {"forecast": scored(streams, seen, step, first), "hold": scored(streams, blind, step, first)}
    return found


def live(streams: Streams, detector: Detector, costs: Sequence[float] = COSTS) -> dict[str, dict[str, float]]:
    """Return streaming AP by what a run costs, in frame intervals, and by method."""
    return {
        f"{cost:g}": {
            method: streaming_ap(streams.annotations, outputs(streams, detector, cost, method), streams.fps).ap for method in METHODS
        }
        for cost in costs
    }


def evaluate(engine: str = "auto", films: int = 6, frames: int = 90) -> dict[str, Any]:
    """Return all figures of the shipped detector."""
    from perception.detectors.streamnet import load_streamnet

    detector = load_streamnet(lambda key, make: make(), engine)
    streams = held_out(films, frames)
    return {
        "films": films,
        "frames": frames,
        "things": len(streams.annotations["annotations"]) / max(films * frames, 1),
        "engine": detector.info.engine,
        "horizons": horizons(streams, detector),
        "live": live(streams, detector),
        "training": json.loads((MODEL / "config.json").read_text(encoding="utf-8"))["training"],
    }


def strip(detector: Detector, step: int = 3, shots: Sequence[tuple[int, int]] = ((0, 30), (0, 45), (1, 30), (1, 45))) -> np.ndarray:
    """Return pictures (film, frame) side by side: where things are, what was foreseen `step` frames before
    (green), and what was then the present (red)."""
    import cv2

    streams = held_out(1 + max(film for film, _ in shots), 1 + max(frame for _, frame in shots))
    seen, blind = told(streams, detector, step), told(streams, detector, 0)
    tiles = []
    for film, frame in shots:
        picture = streams.films[film].pixels_THW3[frame].copy()
        for each, colour in ((blind, (255, 40, 40)), (seen, (40, 255, 40))):
            output = each[film][frame - step].output
            for box in output.boxes_N4[output.scores_N >= 0.35]:
                low, high = (tuple(int(v) for v in box[k : k + 2]) for k in (0, 2))
                cv2.rectangle(picture, low, high, colour, 1 + (colour[1] > 100))
        tiles.append(cv2.resize(picture, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))
    rows = [np.hstack(tiles[k : k + 2]) for k in range(0, len(tiles), 2)]
    return np.vstack(rows)


def write(figures: dict[str, Any], detector: Detector) -> None:
    """Write figures, strip and card beside the weights."""
    import cv2
    from pipelines.models.checksums import write_checksums

    from training.streamnet.card import card

    (MODEL / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (MODEL / "README.md").write_text(card(figures), encoding="utf-8")
    cv2.imwrite(str(MODEL / "strip.jpg"), strip(detector)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 72])
    write_checksums(MODEL)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--write", action="store_true", help="figures, strip and card into models/streamnet")
    args = parser.parse_args()
    figures = evaluate(args.engine)
    print(json.dumps(figures, indent=1))
    if args.write:
        from perception.detectors.streamnet import load_streamnet

        write(figures, load_streamnet(lambda key, make: make(), args.engine))


if __name__ == "__main__":
    main()
