"""Train the detector: encode each frame of a clip once, predict many times, as the stream does.

Resumable: stop it with SIGTERM and start it again with the same command.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from perception.nets.streamnet.backbone import Pyramid
from perception.nets.streamnet.head import STRIDES, anchors
from perception.nets.streamnet.loss import Trend, detection_loss
from perception.nets.streamnet.model import PLANS, DamoStreamNet

from training.painter.loop import Run
from training.streamnet.clips import Clips, draw
from training.streamnet.things import NAMES

WORK = Path(__file__).resolve().parents[1] / "_work"
"""Checkpoints; ignored by git."""
PLAN = "nano"
CLIPS, PIECES = 3, 2
"""Clips of a piece, and pieces of a step, each on a core."""


def make() -> DamoStreamNet:
    """Return the untrained network."""
    return DamoStreamNet(PLANS[PLAN], classes=len(NAMES))


def quick() -> torch.autocast:
    """Compute in bfloat16 where the processor has instructions for it; weights stay in full precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


def predicted(model: DamoStreamNet, clips: Clips) -> torch.Tensor:
    """Return the raw rows of all predictions, (P, A, 5 + classes), every frame encoded once."""
    with quick():
        seen = model.encode(clips.pictures_F3HW.contiguous(memory_format=torch.channels_last))
        now = Pyramid(*(one[clips.now_P] for one in seen))
        before = [Pyramid(*(one[places_P] for one in seen)) for places_P in clips.past_KP]
        return model.predict(now, before).float()


def loss_of(model: DamoStreamNet, clips: Clips, trend: Trend | None) -> dict[str, torch.Tensor]:
    """Return the parts of the loss, a scalar each."""
    height, width = clips.pictures_F3HW.shape[-2:]
    cells, strides = anchors([(height // stride, width // stride) for stride in STRIDES])
    return detection_loss(predicted(model, clips), cells, strides, clips.truths, trend=trend)


def large_share(progress: float) -> float:
    """Return the chance of a large picture: most is learnt on small ones, at half the cost."""
    return min(max(4 * progress - 3, 0.0), 1.0)


def train(path: Path, *, seconds: float = 0, steps: int = 0, count: int = CLIPS, lr: float = 2.5e-3) -> DamoStreamNet:
    """Train to the budget and return the network with averaged weights."""
    torch.manual_seed(0)
    model = make().train().to(memory_format=torch.channels_last)
    run = Run(path, {"model": model}, lr, seconds=seconds, steps=steps, decay=0.995)
    mean: dict[str, float] = {}
    began = time.monotonic()

    def loss(seed: tuple[int, ...]) -> torch.Tensor:
        parts = loss_of(model, draw(seed, count, large_share(run.progress)), Trend())
        for name, value in parts.items():
            mean[name] = 0.98 * mean.get(name, float(value.detach())) + 0.02 * float(value.detach())
        return parts["total"]

    for step in run:
        run.learn_split(loss, [(1, step, k) for k in range(PIECES)])
        if step % 20 == 19:
            told = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
            print(f"step {step + 1} {run.spent_s:.0f}s ({time.monotonic() - began:.0f}s) {told}", flush=True)
    model.load_state_dict(run.average.weights["model"])
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6000, help="the schedule ends with them; about 0.8 s of a core each")
    parser.add_argument("--lr", type=float, default=2.5e-3)
    parser.add_argument("--checkpoint", type=Path, default=WORK / "streamnet.pt")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train(args.checkpoint, steps=args.steps, lr=args.lr)


if __name__ == "__main__":
    main()
