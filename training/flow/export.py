"""Write models/streamflow: config, weights in half precision, checksums. The card is written by `evaluate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from perception.nets.streamflow.model import StreamFlow
from pipelines.models.checksums import write_checksums
from safetensors.torch import save_file

from training.flow.train import PLAN, WORK, make

MODEL = Path(__file__).resolve().parents[2] / "models" / "streamflow"
"""Where the network ships."""


def averaged(checkpoint: Path) -> tuple[StreamFlow, int, float]:
    """Return the network with the averaged weights of a checkpoint, and how many steps and seconds made them."""
    model, state = make(), torch.load(checkpoint, weights_only=False)
    model.load_state_dict(state["average"]["model"])
    return model.eval(), int(state["step"]), float(state["spent_s"])


def write(model: StreamFlow, steps: int, spent_s: float, folder: Path = MODEL) -> None:
    """Write the folder; matrices and kernels go to half precision, the rest stays in full."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: (value.half() if value.ndim > 1 else value).contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    config = {
        "title": "Small StreamFlow",
        "architecture": "StreamFlow",
        "plan": PLAN,
        "frames": model.frames,
        "training": {"steps": steps, "minutes": round(spent_s / 60)},
        "input": "RGB, 0 to 255, both sides 128 or more, border pixels repeated to multiples of 8",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    write_checksums(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=WORK / "streamflow.pt")
    parser.add_argument("--folder", type=Path, default=MODEL)
    args = parser.parse_args()
    write(*averaged(args.checkpoint), args.folder)
    print(f"{args.folder}: {sum(f.stat().st_size for f in args.folder.rglob('*') if f.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
