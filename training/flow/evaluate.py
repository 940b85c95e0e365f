"""What the shipped network can do, beside dense inverse search, Farneback's flow and none, on what it never saw.

python -m training.flow.evaluate --write    # figures.json and the card in models/streamflow
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from training.flow.export import MODEL

PARTS = ("camera", "layers", "stereo")


def evaluate(films: int, frames: int) -> dict[str, Any]:
    """Return the figures of the card: those of `python -m benchmarks flow`."""
    from benchmarks import flow
    from perception.flow.config import FlowConfig
    from perception.nets.streamflow.weights import from_folder

    model, config = from_folder(MODEL)
    found = flow.run(argparse.Namespace(parts=PARTS, films=films, frames=frames))
    return {
        "films": films,
        "frames": frames,
        "rounds": FlowConfig().rounds,
        **{part: found[part] for part in PARTS},
        "parameters": sum(one.numel() for one in model.parameters()),
        "training": config["training"],
    }


def write(figures: dict[str, Any], folder: Path = MODEL) -> None:
    """Write figures and card beside the weights."""
    from pipelines.models.checksums import write_checksums

    from training.flow.card import card

    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(figures), encoding="utf-8")
    write_checksums(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="figures and card into models/streamflow")
    args = parser.parse_args()
    figures = evaluate(args.films, args.frames)
    if args.write:
        write(figures)


if __name__ == "__main__":
    main()
