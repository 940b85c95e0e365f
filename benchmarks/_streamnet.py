"""The embedded streaming detector in figures: what caching is worth, and foreseeing, on held-out films.

python -m benchmarks._streamnet    # a table; `benchmarks see` calls the functions
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from perception.detectors.base import Detector
from perception.detectors.horizon import LONGEST
from perception.detectors.streamnet import ID, StreamNets, load_streamnet
from perception.metrics.sap import Output
from perception.nets.streamnet.model import PLANS, DamoStreamNet, fold
from perception.nets.streamnet.ring import FeatureRing, stepped
from perception.nets.streamnet.weights import from_folder
from pipelines.models.store import locate

COSTS = (0.6, 1.5, 2.25, 4.0)
Method = Literal["hold", "kalman", "streamnet", "streamnet+kalman"]
METHODS: tuple[Method, ...] = ("hold", "kalman", "streamnet", "streamnet+kalman")
SIZES: Mapping[str, tuple[int, int]] = {"ours": (128, 192), "s": (64, 96)}
"""Height and width at which the cost of caching is measured."""
LEAST_GAIN = 3.0


def detector(engine: str = "auto") -> Detector:
    """Return the embedded streaming detector."""
    return load_streamnet(lambda key, make: make(), engine)


def films(count: int = 6, frames: int = 90) -> Any:
    """Return held-out films with their annotations: `.films`, `.annotations`, `.fps`. Needs scikit-image."""
    from training.streamnet.streams import held_out

    return held_out(count, frames)


def streamnet_outputs(
    streams: Any, cost_frames: float, method: Method = "streamnet", by: Detector | None = None
) -> dict[int, list[Output]]:
    """Return what was said of each film when a run takes `cost_frames` frame intervals, for `streaming_ap`.

    "hold" and "kalman" run the same network on the current frame alone; "kalman" carries its boxes on by the
    filter of arXiv:2005.10420. "streamnet" foresees, "streamnet+kalman" carries on from what is foreseen.
    """
    from training.streamnet.streams import outputs

    found: dict[int, list[Output]] = outputs(streams, by or detector(), cost_frames, method)
    return found


def sap(
    streams: Any, costs: Sequence[float] = COSTS, by: Detector | None = None
) -> dict[str, dict[str, float]]:
    """Return streaming AP by cost and method."""
    from perception.metrics.sap import streaming_ap

    one = by or detector()
    return {
        f"{cost:g}": {
            method: streaming_ap(
                streams.annotations, streamnet_outputs(streams, cost, method, one), streams.fps
            ).ap
            for method in METHODS
        }
        for cost in costs
    }


def cached_gain(rounds: int = 9) -> dict[str, float]:
    """Return how much more processor time it takes to encode four frames anew than to encode one and look the
    others up: our network as it runs in its engine, and the published size S in torch.

    Both ways take turns, so that other programs cost both the same; the median of their ratios counts. (In
    torch our network is too small to tell: half of its time goes to calling operations.)
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        size_s = _gain(DamoStreamNet(PLANS["s"]).eval(), SIZES["s"], rounds)
    finally:
        torch.set_num_threads(threads)
    return {"ours": _engine_gain(rounds), "s": size_s}


def _gain(model: DamoStreamNet, size: tuple[int, int], rounds: int) -> float:
    fold(model)
    draw = torch.Generator().manual_seed(0)
    frames = [torch.rand(1, 3, *size, generator=draw) * 255 for _ in range(model.past + 1)]
    past, ring = torch.stack(frames[1:], 1), FeatureRing(model.past, LONGEST)
    with torch.inference_mode():
        for frame in frames[::-1]:
            stepped(model, ring, frame)
        return _ratio(lambda: model(frames[0], past), lambda: stepped(model, ring, frames[0]), rounds)


def _engine_gain(rounds: int) -> float:
    model, config = from_folder(locate(ID))
    nets = StreamNets(model, "", int(config["longest_px"]), "auto", "auto", lambda sentence: None)
    height, width = SIZES["ours"]
    picture = np.full((1, 3, height, width), 100.0, np.float32)
    past = [nets.encode(picture) for _ in range(nets.past)]

    def anew() -> None:
        now, *before = [nets.encode(picture) for _ in range(nets.past + 1)]
        nets.predict(now, before)

    gain = _ratio(anew, lambda: nets.predict(nets.encode(picture), past), rounds)
    nets.close()
    return gain


def _ratio(anew: Callable[[], object], cached: Callable[[], object], rounds: int) -> float:
    ratios = []
    for _ in range(rounds + 1):  # the first warms up
        spent = []
        for work in (anew, cached):
            began = time.process_time()
            for _ in range(3):
                work()
            spent.append(time.process_time() - began)
        ratios.append(spent[0] / spent[1])
    return statistics.median(ratios[1:])


def main() -> None:
    gains = cached_gain()
    print("processor time of four frames encoded anew, over that of the cached way:")
    print("  " + ", ".join(f"{name} {gain:.2f}" for name, gain in gains.items()))
    one = detector()
    print(f"streaming AP, {one.info.title}, {one.info.engine}:")
    print("  cost  " + "  ".join(f"{method:>16}" for method in METHODS))
    for cost, row in sap(films(), by=one).items():
        print(f"  {cost:4}  " + "  ".join(f"{row[method]:16.1f}" for method in METHODS))


if __name__ == "__main__":
    main()
