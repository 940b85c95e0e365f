"""Write models/watcher from what a training left: weights, tokenizer, figures, card, checksums."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from pipelines.models.checksums import write_checksums
from safetensors import safe_open

from .card import card
from .train import WORK

MODEL = Path(__file__).resolve().parents[2] / "models" / "watcher"
"""Where it ships."""


def parameters(file: Path) -> int:
    """Return how many numbers a file of weights holds."""
    count = 0
    with safe_open(file, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118 — no dict
            size = 1
            for side in opened.get_slice(name).get_shape():
                size *= side
            count += size
    return count


def write(source: Path, folder: Path = MODEL, summariser: Path | None = None) -> None:
    """Copy a trained folder, with figures.json in it, and a summariser's, and write card and checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.resolve() != (folder / path.name).resolve():
            shutil.copyfile(path, folder / path.name)
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    if summariser is not None:
        for name in ("summariser.json", "summariser.safetensors"):
            shutil.copyfile(summariser / name, folder / name)
        figures["summariser"] = json.loads((summariser / "figures.json").read_text(encoding="utf-8"))
    figures["parameters"] = parameters(folder / "model.safetensors")
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(figures), encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)
    write_checksums(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, default=WORK / "watcher")
    parser.add_argument("--summariser", type=Path, help="what `training.qa.summarise` wrote for it")
    args = parser.parse_args()
    write(args.source, summariser=args.summariser)
    print(f"{MODEL}: {sum(f.stat().st_size for f in MODEL.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
