"""Find the benchmark by name, set the thread and allocator environment, run it, print its figures.

A benchmark is a module here with `add_arguments(parser)` and `run(options)`, which returns a dict of
figures. What it prints on the way is for people; the last line is one JSON object, for machines.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from pathlib import Path

from pipelines.engines.launch import relaunch_once


def names() -> list[str]:
    here = str(Path(__file__).parent)
    return sorted(m.name for m in pkgutil.iter_modules([here]) if not m.name.startswith("_"))


def main(arguments: list[str]) -> int:
    known = names()
    if not arguments or arguments[0] in ("-h", "--help", "--list"):
        print("python -m benchmarks NAME [options]\n\nNAME is one of: " + ", ".join(known))
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in known:
        print(f'There is no benchmark "{name}". Known: {", ".join(known)}', file=sys.stderr)
        return 2
    relaunch_once(["-m", "benchmarks", *arguments])
    module = importlib.import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=module.__doc__)
    module.add_arguments(parser)
    figures = module.run(parser.parse_args(rest))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
