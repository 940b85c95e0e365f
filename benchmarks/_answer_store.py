"""How fast blocks of keys and values are written and read, what int8 costs in truth, how memory grows.

    python -m benchmarks._answer_store [--folder FOLDER]

Blocks have the shape of LLaVA-OneVision 0.5B: 24 layers, 2 heads, 196 tokens of 64 numbers, bfloat16. What
was just written lies in the system's page cache, so reads show our own cost and not the disk's. The growth is
that of a fresh process that appends through memory to disk, both full for most of the time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from perception.qa.kv.leaving import MIB, Limits
from perception.qa.kv.packing import Packing
from perception.qa.kv.slab_store import SlabStore
from perception.qa.kv.store import BlockShape
from perception.qa.kv.tiered import TieredStore

SHAPE = BlockShape(layers=24, heads=2, tokens=196, head_dim=64)
MODEL = "benchmark"
BLOCKS = 200
READ = 8
"""Blocks of one question, all layers of each."""
ROUNDS = 10
SLOPE_BLOCKS = 4000
SLOPE_RAM_MIB, SLOPE_DISK_MIB = 64.0, 512.0
SLOPE_FROM = 500
"""By then memory and disk are full, and one block leaves for each that comes."""

Row = tuple[str, float, str]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="Where to write; a temporary folder by default.")
    parser.add_argument("--slope-here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--blocks", type=int, default=SLOPE_BLOCKS, help="For the slope of memory.")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        if asked.slope_here:
            print(json.dumps(slope_here(Path(folder), asked.blocks)))
            return
        rows = [*speed(Path(folder)), *int8_error(), *slope(asked.folder, asked.blocks)]
    for name, value, unit in rows:
        print(f"{name:<52}{value:>12.4g}  {unit}")


def block(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return keys and values (L, H, T, D) of a made-up frame, where some channels of keys are large."""
    chance = torch.Generator().manual_seed(seed)
    size = (SHAPE.layers, SHAPE.heads, SHAPE.tokens, SHAPE.head_dim)
    keys, values = torch.randn(size, generator=chance), torch.randn(size, generator=chance)
    keys[..., ::16] *= 8.0
    return keys, values


def few() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return some blocks as a model gives them."""
    return [(keys.bfloat16(), values.bfloat16()) for keys, values in map(block, range(4))]


def speed(folder: Path) -> list[Row]:
    """Measure appends and reads of plain and int8 blocks on disk."""
    rows: list[Row] = []
    some = few()
    for kind in ("bfloat16", "int8"):
        packing = Packing(SHAPE, "bfloat16", int8=kind == "int8")
        store = SlabStore(folder / kind, packing, MODEL, Limits(4096.0))
        mib = packing.block_bytes / MIB

        def write(store: SlabStore = store) -> None:
            for number in range(BLOCKS):
                store.append(*some[number % len(some)], at_ns=number)

        write_s = seconds(write)
        chance = np.random.default_rng(0)
        reads: list[float] = []
        for _ in range(ROUNDS):
            numbers = sorted(int(n) for n in chance.choice(BLOCKS, READ, replace=False))
            reads.append(seconds(partial(read_all, store, numbers)))
        read_s = sorted(reads)[ROUNDS // 2]
        store.close()
        opened_s = seconds(partial(open_and_close, folder / kind, packing))
        rows += [
            (f"block, {kind}", mib, "MiB"),
            (f"append, {kind}", BLOCKS * mib / write_s, "MiB/s"),
            (f"append, {kind}", 1000 * write_s / BLOCKS, "ms a block"),
            (f"read {READ} blocks, all layers, {kind}", READ * mib / read_s, "MiB/s"),
            (f"read {READ} blocks, all layers, {kind}", 1000 * read_s, "ms, median"),
            (f"open a store of {BLOCKS} blocks, {kind}", 1000 * opened_s, "ms"),
        ]
    return rows


def open_and_close(folder: Path, packing: Packing) -> None:
    SlabStore(folder, packing, MODEL, Limits(4096.0)).close()


def read_all(store: SlabStore, numbers: list[int]) -> None:
    """Read blocks as a question does: layer by layer."""
    for layer in range(SHAPE.layers):
        store.read(numbers, layer)


def int8_error() -> list[Row]:
    """Measure how far int8 is from what was given, and what that does to attention."""
    packing = Packing(SHAPE, "float32", int8=True)
    keys, values = block(0)
    packed = packing.pack(keys, values)
    got = [packing.unpack([row]) for row in packed]
    near_keys, near_values = (torch.stack([one[i] for one in got]) for i in (0, 1))
    queries = torch.randn(keys.shape, generator=torch.Generator().manual_seed(9))
    true = attended(queries, keys, values)
    rounded = attended(queries, keys.bfloat16().float(), values.bfloat16().float())
    attention = relative(attended(queries, near_keys, near_values), true)
    return [
        ("int8: error of keys", relative(near_keys, keys), "of their norm"),
        ("int8: error of values", relative(near_values, values), "of their norm"),
        ("int8: error of attention", attention, "of its norm"),
        ("bfloat16: error of attention", relative(rounded, true), "of its norm"),
    ]


def relative(near: torch.Tensor, true: torch.Tensor) -> float:
    return float((near - true).norm() / true.norm())


def attended(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    weights = (queries @ keys.transpose(-1, -2) / SHAPE.head_dim**0.5).softmax(-1)
    return weights @ values


def slope(folder: Path | None, blocks: int) -> list[Row]:
    """Measure in a fresh process how memory grows with appended blocks."""
    command = [sys.executable, "-m", "benchmarks._answer_store", "--slope-here", "--blocks", str(blocks)]
    command += ["--folder", str(folder)] if folder else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return [
        (
            f"growth of memory, block {SLOPE_FROM} to {blocks}",
            found["slope_mib_per_1000"],
            "MiB per 1,000 blocks",
        ),
        (f"resident memory after {blocks} blocks", found["rss_mib"], "MiB"),
        ("appended through memory to disk", found["mib_per_s"], "MiB/s"),
        ("files at the end", found["disk_mib"], "MiB"),
    ]


def slope_here(folder: Path, blocks: int) -> dict[str, float]:
    """Append blocks and return how this process grew."""
    packing = Packing(SHAPE, "bfloat16")
    disk = SlabStore(folder / "slabs", packing, MODEL, Limits(SLOPE_DISK_MIB))
    store = TieredStore(disk, SLOPE_RAM_MIB)
    some = few()
    process, seen = psutil.Process(), []
    begun_s = time.perf_counter()
    for number in range(blocks):
        store.append(*some[number % len(some)], at_ns=number)
        if number % 50 == 0:
            seen.append((number, process.memory_info().rss / MIB))
    store.flush()
    taken_s = time.perf_counter() - begun_s
    full = [(number, mib) for number, mib in seen if number >= min(SLOPE_FROM, blocks // 2)]
    numbers, sizes = np.array(full).T
    found = {
        "slope_mib_per_1000": 1000 * float(np.polyfit(numbers, sizes, 1)[0]),
        "rss_mib": float(sizes[-1]),
        "mib_per_s": blocks * packing.block_bytes / MIB / taken_s,
        "disk_mib": disk.used_bytes / MIB,
    }
    store.close()
    return found


def seconds(work: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


if __name__ == "__main__":
    main()
