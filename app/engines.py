"""`python -m app engines list|build|bench`: what runs networks here, making it ready, and how fast it is."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.core.errors import ConfigError, EngineError

from .models import size
from .registry import nearest

if TYPE_CHECKING:
    from pipelines.diffusion.loader import Material
    from pipelines.engines.base import Engine
    from pipelines.engines.bench import Figure
    from pipelines.engines.key import Kept, Shelf

NOTHING_KEPT = ("torch", "torch-compile")
AGES = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words and flags of the command."""
    words = parser.add_subparsers(dest="what", required=True, metavar="list|build|bench")
    listing = words.add_parser("list", help="what runs here, in which precision, and what is on the shelf")
    build = words.add_parser("build", help="build a model's networks and put them on the shelf")
    bench = words.add_parser("bench", help="time a model's networks in every back end that runs here")
    for one in (build, bench):
        one.add_argument("model", nargs="?", default="painter", metavar="MODEL", help="default: painter")
        one.add_argument("--size", type=_count, metavar="PX", help="side of the picture (default: 256)")
        one.add_argument("--rows", type=_count, nargs="+", default=[1], metavar="N", help="rows in one call")
    build.add_argument("--engine", metavar="NAME", help="back end (default: the fastest that keeps engines)")
    build.add_argument("--precision", default="auto", metavar="NAME", help="fp32, bf16, fp16, int8 or auto")
    build.add_argument("--target", action="append", metavar="SM", help="TensorRT: build for, e.g. sm89")
    bench.add_argument(
        "--engine",
        action="append",
        metavar="NAME[:PRECISION]",
        help="only this one beside torch; may be given again (default: all but torch-compile)",
    )
    bench.add_argument("--rounds", type=_count, default=7, metavar="N", help="timed calls of each")
    for one in (listing, bench):
        one.add_argument("--json", action="store_true", help="print JSON")
    for one in (listing, build, bench):
        one.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def engines(options: argparse.Namespace) -> int:
    """Do what the words say and return the exit status."""
    work: dict[str, Callable[[argparse.Namespace], int]] = {"list": _list, "build": _build, "bench": _bench}
    return work[options.what](options)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a count")
    return number


# list


def _list(options: argparse.Namespace) -> int:
    from pipelines.engines.survey import survey

    standings = survey()
    kept = [(shelf, shelf.contents()) for shelf in shelves()]
    if options.json:
        on_shelf = [asdict(one) | {"folder": str(shelf.folder)} for shelf, ones in kept for one in ones]
        print(json.dumps({"engines": [asdict(one) for one in standings], "shelf": on_shelf}))
        return 0
    rows = [(one.backend, one.precision, "yes" if one.is_available else "no", one.says) for one in standings]
    print("\n".join(table(rows)))
    for shelf, ones in kept:
        total = size(sum(one.bytes for one in ones))
        print(f"\n{shelf.folder}: {len(ones)} engines, {total} of {size(shelf.limit_bytes)}")
        print("\n".join(table(described(one, time.time()) for one in ones)))
    return 0


def shelves() -> list[Shelf]:
    """Return the shelf of this person, and those that back ends have in it."""
    from pipelines.engines.key import Shelf, default_shelf

    first = default_shelf()
    inner = sorted(path for path in first.folder.glob("*") if path.is_dir())
    return [first, *(Shelf(path) for path in inner)]


def described(kept: Kept, now_s: float) -> tuple[str, ...]:
    """Return an engine on the shelf as words of a table."""
    recipe = kept.recipe
    shapes: Any = recipe.get("shapes") or ()
    first = " by ".join(str(side) for side in shapes[0][1]) if shapes else "any size"
    streams = recipe.get("streams")
    if isinstance(streams, int) and streams > 1:
        first += f", {streams} streams"
    return (
        kept.key[:8],
        str(recipe.get("network")),
        str(recipe.get("backend")),
        str(recipe.get("precision")),
        first,
        size(kept.bytes),
        age(now_s - kept.used_at_s),
    )


def age(seconds: float) -> str:
    """Write how long ago something was used: "3 days ago"."""
    for unit_s, name in AGES:
        if (count := int(seconds // unit_s)) >= 1:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Return lines with columns of one width, the last one free."""
    whole = [list(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*whole, strict=True)] if whole else []
    for row in whole:
        yield "  ".join([*(cell.ljust(w) for cell, w in zip(row[:-1], widths, strict=False)), row[-1]])


# build


def _build(options: argparse.Namespace) -> int:
    from pipelines.engines.choose import BUILT_IN, default_device

    name = options.engine or ("tensorrt" if default_device() == "cuda" else "openvino")
    if name not in BUILT_IN:
        raise ConfigError(f'There is no engine "{name}".', hint=nearest(name, BUILT_IN))
    if name in NOTHING_KEPT:
        raise ConfigError(
            f"{name} keeps nothing on the shelf, so there is nothing to build.",
            hint="Engines that do: " + ", ".join(one for one in BUILT_IN if one not in NOTHING_KEPT),
        )
    material = _material(options)
    before = {one.key for shelf in shelves() for one in shelf.contents()}
    build = _for_tensorrt if name == "tensorrt" else _by_warming
    for number, network in enumerate(material.networks, 1):
        began_s = time.monotonic()
        _say(f"{number} of {len(material.networks)}: {network} for {name}")
        build(material, network, name, options)
        _say(f"  {time.monotonic() - began_s:.1f} s")
    new = [one for shelf in shelves() for one in shelf.contents() if one.key not in before]
    print("\n".join(table(described(one, time.time()) for one in new)) or "All of it was there already.")
    return 0


def _by_warming(material: Material, network: str, name: str, options: argparse.Namespace) -> None:
    """Build by making an engine ready for each number of rows, which puts it on the shelf."""
    engine = _chosen(material, network, name, material.precision(network, options.precision))
    for rows in options.rows:
        engine.warm({key: (rows, *value.shape[1:]) for key, value in material.examples[network].items()})
    engine.close()


def _for_tensorrt(material: Material, network: str, name: str, options: argparse.Namespace) -> None:
    """Build for GPUs that need not be here."""
    import importlib

    try:
        builder = importlib.import_module("pipelines.engines.tensorrt_build")
    except ModuleNotFoundError as error:
        raise EngineError(f"The TensorRT back end cannot be used: {error}.", permanent=True) from error
    one, example = material.networks[network], material.examples[network]
    at = {
        word: count
        for spec in one.inputs
        for word, count in zip(spec.dims[1:], example[spec.name].shape[1:], strict=True)
        if isinstance(word, str)
    }
    wanted = "fp16" if options.precision == "auto" else options.precision
    targets = {"targets": tuple(options.target)} if options.target else {}
    path = builder.build_to_shelf(
        one, precision=wanted, rows=tuple(options.rows), report=_indented, at=at, **targets
    )
    _say(f"  {path}")


# bench


def _bench(options: argparse.Namespace) -> int:
    from pipelines.engines.bench import REFERENCE, bench

    wanted = _wanted(options.engine)
    material = _material(options)
    figures: list[Figure] = []
    refused: list[tuple[str, str, str, str]] = []
    for network, example in material.examples.items():
        ready = [_chosen(material, network, *REFERENCE)]
        for name, precision in wanted:
            try:
                ready.append(_chosen(material, network, name, precision))
            except EngineError as error:
                refused.append((network, name, precision, error.message))
        _say(f"Timing {network} in {len(ready)} engines.")
        figures += bench(
            material.networks[network],
            ready,
            example,
            options.rows,
            clock_ns=time.perf_counter_ns,
            rounds=options.rounds,
        )
        for engine in ready:
            engine.close()
    if options.json:
        names = ("network", "backend", "precision", "reason")
        print(
            json.dumps(
                {
                    "model": options.model,
                    "size_px": material.size_px,
                    "rounds": options.rounds,
                    "figures": [asdict(one) for one in figures],
                    "refused": [dict(zip(names, one, strict=True)) for one in refused],
                }
            )
        )
        return 0
    head = ("network", "rows", "engine", "", "ms", "times torch fp32", "relative error")
    print("\n".join(table([head, *(_figure(one) for one in figures)])))
    if refused:
        print("\nNot timed:")
        print("\n".join(table(refused)))
    return 0


def _figure(one: Figure) -> tuple[str, ...]:
    error = f"{one.relative_error:.1g}"
    return one.network, str(one.rows), one.backend, one.precision, f"{one.ms:.1f}", f"{one.ratio:.2f}", error


def _wanted(named: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return back ends and precisions to time beside the reference."""
    from pipelines.engines.bench import REFERENCE
    from pipelines.engines.choose import BUILT_IN, PRECISIONS
    from pipelines.engines.survey import SLOW

    known = PRECISIONS[1:]
    found: list[tuple[str, str]] = []
    for text in named or [name for name in BUILT_IN if name not in SLOW]:
        name, _, precision = text.partition(":")
        if name not in BUILT_IN:
            raise ConfigError(f'There is no engine "{name}".', hint=nearest(name, BUILT_IN))
        if precision and precision not in known:
            raise ConfigError(f'There is no precision "{precision}".', hint=nearest(precision, list(known)))
        found += [(name, one) for one in ([precision] if precision else known)]
    return [one for one in dict.fromkeys(found) if one != REFERENCE]


# Both.


def _material(options: argparse.Namespace) -> Material:
    from pipelines.diffusion.config import PaintConfig
    from pipelines.diffusion.loader import read_material
    from pipelines.models.store import locate

    size_px = options.size or PaintConfig().size_px
    return read_material(Path(locate(options.model)), size_px=size_px, report=_say)


def _chosen(material: Material, network: str, name: str, precision: str) -> Engine:
    from pipelines.engines.choose import choose

    return choose(
        material.networks[network],
        wanted=name,
        precision=precision,
        example=material.examples[network],
        report=_indented,
    )


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _indented(sentence: str) -> None:
    _say(f"  {sentence}")
