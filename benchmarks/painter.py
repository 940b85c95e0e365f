"""What the embedded painter can do, on pictures it never saw: error, looks told apart, structure, steadiness.

The same evaluation as `python -m training.painter.evaluate`, of what ships in models/painter. It needs the
packages of the `training` extra and, for the independent judge, the pictures of training/painter/DATA.md.
"""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", default="auto")


def run(options: argparse.Namespace) -> dict[str, Any]:
    from training.painter.evaluate import evaluate

    figures: dict[str, Any] = evaluate(engine=options.engine)
    return figures
