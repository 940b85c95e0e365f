"""Paint a picture in every look of the painter: python -m examples.paint_a_picture IN.jpg OUT.jpg"""

import json
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import StageContext

PAINTER = Path(__file__).resolve().parent.parent / "models" / "painter"


def paint(picture_HW3: np.ndarray, prompt: str, shared: dict) -> np.ndarray:
    """Return the picture painted after `prompt`, (256, 256, 3) uint8 RGB."""

    def share(key, make):
        if key not in shared:
            shared[key] = make()  # the engines: made once for all prompts
        return shared[key]

    stage = PaintStage()
    stage.configure(PaintConfig(prompt=prompt))
    stage.open(StageContext(shared=share))
    (painted,) = stage.process(Frame(Stamp("file", 0, 0, Fraction(1, 30), 0), picture_HW3))
    stage.close()
    return painted.value.pixels


def main(source: Path, target: Path, columns: int = 5) -> int:
    """Write a sheet of all looks of `source` to `target`; return their number."""
    picture = cv2.cvtColor(cv2.imread(str(source)), cv2.COLOR_BGR2RGB)
    looks = json.loads((PAINTER / "vitascope.json").read_text(encoding="utf-8"))["looks"]
    shared: dict = {}
    painted = [paint(picture, look["prompt"], shared) for look in looks]
    painted += [np.full_like(painted[0], 255)] * (-len(painted) % columns)
    rows = [np.hstack(painted[at : at + columns]) for at in range(0, len(painted), columns)]
    cv2.imwrite(str(target), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    return len(looks)


if __name__ == "__main__":
    print(f"painted {main(Path(sys.argv[1]), Path(sys.argv[2]))} looks into {sys.argv[2]}")
