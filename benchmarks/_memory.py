"""Print what a first and a second painting session add to the memory of a fresh process, as one JSON object.

Proportional set size where the system knows it, else resident size. The libraries are loaded before the
first session, so it is charged for weights, engines and buffers only, which makes the second one's share
larger, not smaller.
"""

from __future__ import annotations

import gc
import json

import psutil
import torch

from benchmarks._measure import median
from benchmarks.paint import House, Session, together
from pipelines.diffusion.config import PaintConfig
from realtime.sources.pattern import pattern_picture

SECONDS = 3.0
PAINTER_PX = 256


def used_mb() -> float:
    """Return this process's memory in MB (1e6 bytes)."""
    gc.collect()
    process = psutil.Process()
    pss = getattr(process.memory_full_info(), "pss", 0)
    return float(pss or process.memory_info().rss) / 1e6


def libraries() -> None:
    """Load what any session needs, and let torch and OpenVINO start their threads."""
    import diffusers
    import openvino
    import transformers

    assert diffusers.UNet2DConditionModel
    assert transformers.CLIPTextModel
    openvino.Core().available_devices  # noqa: B018 # loads the plug-ins
    torch.nn.functional.conv2d(torch.ones(1, 8, 64, 64), torch.ones(8, 8, 3, 3))


def main() -> None:
    libraries()
    house = House()
    pictures = [pattern_picture(7 * k, PAINTER_PX, PAINTER_PX, mark=False) for k in range(8)]
    empty = used_mb()
    first = Session(house, PaintConfig(size_px=PAINTER_PX, prompt="pencil sketch"), "first")
    first.feed(pictures, SECONDS)
    first.feed(pictures, SECONDS)
    one = used_mb()
    second = Session(house, PaintConfig(size_px=PAINTER_PX, prompt="pop art"), "second")
    seen = []
    for _ in range(3):
        together([first, second], [pictures, pictures], SECONDS)
        seen.append(used_mb())
    first.close()
    second.close()
    house.lanes.close()
    figures = {
        "second_session_memory": (median(seen) - one) / (one - empty),
        "first_session_mb": one - empty,
        "second_session_mb": median(seen) - one,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
