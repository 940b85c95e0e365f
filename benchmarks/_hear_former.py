"""Figures of the cache-aware FastConformer; `benchmarks hear` and `benchmarks hear_former` call them.

Times are of the processor, on one thread. Ways that are compared take turns. Weights are random with biases
far from zero: they cost what trained ones do, and with none an error of the first chunk could not be seen.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._measure import median, print_table, rss_mb
from perception.nets.fastconformer import state
from perception.nets.fastconformer.decode import Ctc
from perception.nets.fastconformer.features import RATE_HZ, LogMel
from perception.nets.fastconformer.model import FastConformer, begin, parameters
from perception.nets.fastconformer.networks import example, step_network
from perception.nets.fastconformer.plans import Plan
from perception.nets.fastconformer.runtime import Runtime
from pipelines.engines import export, onnx_engine
from pipelines.engines.key import Shelf
from pipelines.engines.torch_engine import TorchEngine

LARGE = Plan(predictor=0)
"""The encoder of the published hybrid-large models, 114 million parameters with their heads."""
SMALL = Plan(width=64, layers=3, heads=4, inner=128, channels=16, tokens=33, blank=32, predictor=0)
STUDIED: Mapping[int, tuple[float, float]] = {6: (0.066, 0.10), 1: (0.175, 0.31)}
"""Processor seconds per second of sound, int8 and fp32, by look-ahead: an earlier study of this geometry."""
LEAST_GAIN, MOST_GROWTH_MB, MOST_SLOWER, MOST_APART = 3.0, 5.0, 1.2, 1e-4
HOUR_S = 3600


def equal_max_abs(seconds: float = 8.0) -> float:
    """Return the largest difference of an encoder frame, in odd packets, from the whole recording's."""
    model, samples, worst = _model(SMALL), _sound(seconds, 1), 0.0
    for lookahead in SMALL.lookaheads:
        with torch.inference_mode():
            mel = torch.from_numpy(LogMel(SMALL.mels).whole(samples))[None]
            wanted = model.encode(mel, lookahead)[0]
        runtime = _runtime(model)
        seen: list[torch.Tensor] = []
        stepped = runtime.step

        def heard(*given: Any, step: Any = stepped, seen: list[torch.Tensor] = seen) -> Any:
            made, after = step(*given)
            seen.append(made["frames"])
            return made, after

        runtime.step = heard  # type: ignore[method-assign,assignment]
        stream, at, size = runtime.begin(lookahead), 0, 1
        while at < len(samples):
            stream = runtime.push(stream, samples[at : at + size])
            at, size = at + size, size * 7 % 4001 + 1
        runtime.finish(stream)
        found = torch.cat(seen)[: len(wanted)]
        worst = max(worst, float((found - wanted).abs().max()))
    return worst


def cached_gain(lookahead: int = 6, rounds: int = 5, plan: Plan = LARGE) -> float:
    """Return how much more a second of sound costs when a window is encoded anew for each chunk.

    The window is what attention sees of the past and the chunk, the least that could be taken. Both run in
    plain torch, at the size of the published models.
    """
    model = _model(plan)
    runtime, count = _runtime(model), lookahead + 1
    frames = plan.left + count
    rows = np.random.default_rng(0).normal(-8, 2, (frames * plan.factor, plan.mels)).astype(np.float32)
    chunk, window = rows[: count * plan.factor], torch.from_numpy(rows)[None]
    cached = replace(state.nothing(plan), frames=plan.left)

    def by_cache() -> None:
        runtime.step(cached, chunk, lookahead)

    def by_window() -> None:
        with torch.inference_mode():
            model.ctc(model.encode(window, lookahead)[:, -count:])

    with _one_thread():
        spent = _turns((by_window, by_cache), rounds)
    return min(spent[0]) / min(spent[1])


def int8_steps(
    lookahead: int, rounds: int = 15, plan: Plan = LARGE, keep: Path | None = None
) -> dict[str, float]:
    """Return processor seconds per second of sound with ONNX Runtime, fp32 and int8, and their ratio.

    To make both graphs takes minutes; with `keep` they stay in that folder for the next time.
    """
    model = _model(plan)
    network = step_network(model, "benchmark", lookahead)
    given = example(model, lookahead)
    with tempfile.TemporaryDirectory(prefix="vitascope-bench-") as folder, _one_thread():
        once, shelf = _exported_once(Path(folder)), Shelf(keep or Path(folder) / "shelf")
        engines = [
            onnx_engine.build(network, precision=one, threads=1, exporter=once, shelf=shelf)
            for one in ("fp32", "int8")
        ]
        exact = {name: value.clone() for name, value in engines[0].run(**given).items()}
        rounded = engines[1].run(**given)
        apart = float((rounded["frames"] - exact["frames"]).norm() / exact["frames"].norm())
        ways = [lambda engine=engine: engine.run(**given) for engine in engines]
        full, small = (min(one) / plan.chunk_s(lookahead) for one in _turns(tuple(ways), rounds))
        for engine in engines:
            engine.close()
    return {"fp32": full, "int8": small, "ratio": small / full, "int8_apart": apart}


def hour(seconds: float = HOUR_S, lookahead: int = 6) -> dict[str, float]:
    """Hear an hour as fast as it goes, with an end of utterance every half minute.

    Returns how memory grew per hour after a twelfth of it, and by which share a chunk's time changed.
    """
    runtime, sound = _runtime(_model(SMALL)), _sound(30.0, 2)
    packet = RATE_HZ // 50
    stream, memory, spent = runtime.begin(lookahead), [], []
    rounds = max(int(seconds / 30), 12)
    with _one_thread():
        for _ in range(rounds):
            began = time.process_time()
            for at in range(0, len(sound), packet):
                stream = runtime.push(stream, sound[at : at + packet])
            _, stream = runtime.finish(stream)
            spent.append(time.process_time() - began)
            gc.collect()
            memory.append(rss_mb())
    warm = rounds // 12
    hours = np.arange(rounds)[warm:] * 30 / HOUR_S
    grown = float(np.polyfit(hours, memory[warm:], 1)[0])
    slower = float(np.polyfit(hours, spent[warm:], 1)[0]) / median(spent[warm:])
    return {
        "rss_growth_mb_per_hour": grown,
        "step_time_slope_per_hour": slower,
        "cpu_s_per_s": median(spent[warm:]) / 30,
        "state_kb": stream.bytes / 1e3,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", type=Path, help="folder for graphs, 1 GB; made anew each time without it")
    parser.add_argument("--quick", action="store_true", help="six minutes for the hour, no large network")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the figures."""
    figures: dict[str, Any] = {"equal_max_abs": equal_max_abs()}
    figures["cached_gain"] = cached_gain()
    figures |= hour(HOUR_S / 10 if options.quick else HOUR_S)
    if not options.quick:
        figures["parameters_m"] = parameters(_model(LARGE)) / 1e6
        for lookahead, (small, full) in STUDIED.items():
            found = int8_steps(lookahead, keep=options.keep)
            figures |= {f"{name}_r{lookahead}": value for name, value in found.items()}
            figures[f"int8_against_study_r{lookahead}"] = found["ratio"] / (small / full)
    print_table(figures)
    figures["good"] = good(figures)
    return figures


def good(figures: Mapping[str, Any]) -> bool:
    """Tell whether the figures are as they must be."""
    slower = [value for name, value in figures.items() if name.startswith("int8_against_study")]
    return bool(
        figures["equal_max_abs"] < MOST_APART
        and figures["cached_gain"] >= LEAST_GAIN
        and figures["rss_growth_mb_per_hour"] < MOST_GROWTH_MB
        and all(one <= MOST_SLOWER for one in slower)
    )


def _model(plan: Plan) -> FastConformer:
    model = begin(FastConformer(plan))
    model.eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(1)
    for value in model.parameters():
        if value.ndim == 1:
            value.add_(0.3 * torch.randn(value.shape, generator=draw))
    return model


def _runtime(model: FastConformer) -> Runtime:
    def engine(lookahead: int) -> TorchEngine:
        return TorchEngine(step_network(model, "", lookahead), "fp32", "cpu")

    return Runtime(model.plan, engine, Ctc(model.plan.blank))


def _sound(seconds: float, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    swell = np.exp(2 * np.sin(8 * time_s))
    return np.asarray(0.02 * swell * draw.normal(size=len(time_s)), np.float32)


def _turns(ways: tuple[Callable[[], object], ...], rounds: int) -> list[list[float]]:
    """Return what each way took, a value a round; the first round warms up and is left out."""
    spent: list[list[float]] = [[] for _ in ways]
    for turn in range(rounds + 1):
        order = range(len(ways)) if turn % 2 else reversed(range(len(ways)))
        for way in order:
            began = time.process_time()
            ways[way]()
            spent[way].append(time.process_time() - began)
    return [one[1:] for one in spent]


def _exported_once(folder: Path) -> Callable[..., export.Graph]:
    """Return an exporter that traces once and copies the file for whoever asks again."""
    held: list[export.Graph] = []

    def exporter(network: Any, shapes: Any, target: Path, **how: Any) -> export.Graph:
        if not held:
            held.append(export.write(network, shapes, folder, **how))
        copied = shutil.copy(held[0].path, target / held[0].path.name)
        return replace(held[0], path=Path(copied))

    return exporter


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
