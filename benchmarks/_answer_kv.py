"""What a memory of keys and values costs over hours of a stream, and how fast it answers, early and late.

A stream of `MINUTES` at a frame a second is fed as fast as the machine takes it to a `VideoModelEngine` in a
process of its own, on slab files with little memory in front. The model is the watcher where its folder is
there, else a tiny random one of the same class: what is measured is the machinery, not what it knows. Asked
are the engine that has seen all and one that has seen the first ten minutes, in turns, so that a busy machine
slows both alike.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch

from benchmarks._measure import median, quantile
from perception.qa.kv.ask import answer_ids
from perception.qa.kv.engine import VideoModelEngine
from perception.qa.kv.families.base import VideoModel
from perception.qa.kv.families.load import Source, load
from perception.qa.kv.families.tiny import tiny
from perception.qa.kv.options import VideoModelOptions
from pipelines.models.catalog import ROOT
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame, Stamp

EARLY_MINUTES, MINUTES = 10, 240
WATCHER = ROOT / "models" / "watcher"
ASKS = 40
QUESTION = "what colour was the star ?"
SEEN_PX = 48
RAM_FRAMES = 60
"""Blocks in memory, in front of the disk: a minute, so that early and late questions read from disk alike."""
MIB = 1 << 20


def bounded(minutes: int = MINUTES) -> dict[str, float]:
    """Return how memory grows: `rss_slope_mib_per_1000` frames from minute 10 on, and first and last MiB."""
    told = hours(minutes)
    return {
        name: told[name] for name in ("rss_slope_mib_per_1000", "rss_early_mib", "rss_late_mib", "disk_mib")
    }


def ttft_growth(minutes: int = MINUTES) -> dict[str, float]:
    """Return `ttft_growth`, late over early, and the milliseconds to the first token of each."""
    told = hours(minutes)
    names = ("ttft_growth", "ttft_early_ms", "ttft_late_ms", "ttft_late_p95_ms")
    return {name: told[name] for name in names}


def vs_reencode(minutes: int = MINUTES) -> dict[str, float]:
    """Return `vs_reencode`: how much longer it takes to encode the first ten minutes again than to answer."""
    told = hours(minutes)
    return {name: told[name] for name in ("vs_reencode", "vs_reencode_late", "encode_ms")}


@functools.cache
def hours(minutes: int = MINUTES) -> dict[str, float]:
    """Measure in a fresh process, once."""
    command = [sys.executable, "-m", "benchmarks._answer_kv", "--minutes", str(minutes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The measurement failed: {done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _model() -> tuple[VideoModel, Source]:
    if (WATCHER / "config.json").is_file():
        return load(str(WATCHER), device="cpu")
    return tiny("llava_onevision", layers=6), Source("tiny random model", WATCHER, "", "")


def _scenes(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield pictures with noise, in which a block of some colour stands somewhere now and then."""
    random = np.random.default_rng(0)
    for index in range(count):
        pixels = random.integers(40, 72, (SEEN_PX, SEEN_PX, 3), dtype=np.uint8)
        if index % 7 < 3:
            top, left = random.integers(0, SEEN_PX - 12, 2)
            pixels[top : top + 12, left : left + 12] = random.integers(0, 256, 3)
        yield pixels


def _engine(model: VideoModel, source: Source, folder: Path) -> VideoModelEngine:
    block_bytes = 2 * 4 * model.layers * model.kv_heads * model.layout.tokens * model.head_dim
    options = VideoModelOptions(
        every_s=0.0,
        most_still=0,
        ram_mib=RAM_FRAMES * block_bytes / MIB,
        pictures_mib=1.0,
        disk_gib=4.0,
        folder=folder,
        window_tokens=600,
    )
    return VideoModelEngine(model, source, options)


def _frame(index: int, pixels: npt.NDArray[np.uint8]) -> Frame:
    return Frame(Stamp("scenes", index, index, Fraction(1), (index + 1) * NS_PER_S), pixels)


def _rss_mib() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / MIB


def _first_token_s(engine: VideoModelEngine) -> float:
    """Return how long the first token takes: to find frames, bring them back, and read the prompt."""
    model = engine.model
    begin = time.perf_counter()
    context = engine.memory.context(model.query(QUESTION), engine.snapshot().memory)
    answer_ids(model, context, model.prompt_ids(QUESTION), 1)
    return time.perf_counter() - begin


def _run(minutes: int, folder: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    model, source = _model()
    early, late = _engine(model, source, folder / "early"), _engine(model, source, folder / "late")
    spent: list[float] = []
    seen: list[tuple[int, float]] = []
    early_frames = EARLY_MINUTES * 60
    for index, pixels in enumerate(_scenes(minutes * 60)):
        if index < early_frames:
            early.push_frame(_frame(index, pixels))
        begin = time.perf_counter()
        late.push_frame(_frame(index, pixels))
        spent.append(time.perf_counter() - begin)
        if index + 1 >= early_frames and (index + 1) % 300 == 0:
            _first_token_s(late)
            seen.append((index + 1, _rss_mib()))
    pairs = [(_first_token_s(early), _first_token_s(late)) for _ in range(ASKS)][ASKS // 8 :]
    first_s, last_s = median([one for one, _ in pairs]), median([other for _, other in pairs])
    frames_N, rss_N = np.array(seen, np.float64).T
    slope = float(np.polyfit(frames_N, rss_N, 1)[0]) * 1000 if len(seen) > 1 else 0.0
    disk = sum(path.stat().st_size for path in (folder / "late").iterdir())
    figures = {
        "frames": float(len(spent)),
        "rss_slope_mib_per_1000": slope,
        "rss_early_mib": float(rss_N[0]),
        "rss_late_mib": float(rss_N[-1]),
        "disk_mib": disk / MIB,
        "ttft_early_ms": first_s * 1e3,
        "ttft_late_ms": last_s * 1e3,
        "ttft_late_p95_ms": quantile([other for _, other in pairs], 0.95) * 1e3,
        "ttft_growth": median([other / one for one, other in pairs]),
        "encode_ms": median(spent) * 1e3,
        "vs_reencode": sum(spent[:early_frames]) / first_s,
        "vs_reencode_late": sum(spent) / last_s,
    }
    early.close()
    late.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=MINUTES, help="length of the stream, a frame a second")
    given: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(_run(given.minutes, Path(folder))))


if __name__ == "__main__":
    main()
