"""Write models/streamnet: config, weights in half precision, checksums. The card is written by `evaluate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from perception.nets.streamnet.model import DamoStreamNet
from pipelines.models.checksums import write_checksums
from safetensors.torch import save_file

from training.streamnet.clips import FRAMES
from training.streamnet.things import NAMES
from training.streamnet.train import CLIPS, PIECES, PLAN, WORK, make

MODEL = Path(__file__).resolve().parents[2] / "models" / "streamnet"
"""Where the detector ships."""
LONGEST_PX = 256


def averaged(checkpoint: Path) -> tuple[DamoStreamNet, int]:
    """Return the network with the averaged weights of a checkpoint, and how many steps made them."""
    model, state = make(), torch.load(checkpoint, weights_only=False)
    model.load_state_dict(state["average"]["model"])
    return model.eval(), int(state["step"])


def write(model: DamoStreamNet, steps: int, folder: Path = MODEL) -> None:
    """Write the folder; weights go to half precision, the norms' statistics stay in full."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.half() if value.ndim > 1 else value).contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(state, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    config = {
        "title": "Streaming detector of drawn shapes",
        "architecture": "DAMO-StreamNet",
        "plan": PLAN,
        "names": list(NAMES),
        "longest_px": LONGEST_PX,
        "training": {"steps": steps, "pictures": steps * PIECES * CLIPS * FRAMES},
        "input": "BGR, 0 to 255, longest side scaled to longest_px, padded right and below with 114 to multiples of 32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    write_checksums(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=WORK / "streamnet.pt")
    parser.add_argument("--folder", type=Path, default=MODEL)
    args = parser.parse_args()
    write(*averaged(args.checkpoint), args.folder)
    print(f"{args.folder}: {sum(f.stat().st_size for f in args.folder.rglob('*') if f.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
