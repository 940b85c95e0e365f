"""Write models/fastconformer-words: config, weights in half precision, checksums. The card is written by `evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from perception.nets.fastconformer.model import FastConformer
from perception.nets.fastconformer.pieces import Pieces
from perception.nets.fastconformer.weights import save
from pipelines.models.checksums import write_checksums

from training.asr.train import WORK, make
from training.asr.words import LETTERS

MODEL = Path(__file__).resolve().parents[2] / "models" / "fastconformer-words"
"""Where the fixture ships."""
TITLE = "Small FastConformer of this program's words"


def averaged(checkpoint: Path) -> tuple[FastConformer, int]:
    """Return the network with the averaged weights of a checkpoint, and how many steps made them."""
    model, state = make(), torch.load(checkpoint, weights_only=False)
    model.load_state_dict(state["average"]["model"])
    model.eval()
    return model, int(state["step"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=WORK / "asr.pt")
    parser.add_argument("--folder", type=Path, default=MODEL)
    args = parser.parse_args()
    model, steps = averaged(args.checkpoint)
    save(model, Pieces(LETTERS), args.folder, title=TITLE, licence="Apache-2.0", training={"steps": steps})
    write_checksums(args.folder)
    print(f"{args.folder}: {sum(f.stat().st_size for f in args.folder.rglob('*') if f.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
