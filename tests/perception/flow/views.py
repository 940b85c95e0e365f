"""Pictures whose motion is known, as a camera would give them, and a flow stage that sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from perception.flow.config import FlowConfig
from perception.flow.dis import Pixels
from perception.flow.stage import FlowStage
from perception.flow.value import Flow
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests.vocabulary import make_stamp

SIZE = (192, 128)


def wall(seed: int = 0, size: tuple[int, int] = (512, 384)) -> Pixels:
    """Return a large picture with detail of several sizes."""
    rng, out = np.random.default_rng(seed), np.zeros((size[1], size[0], 3), np.float32)
    for cells, levels in ((8, 60), (24, 50), (80, 60)):
        coarse = rng.uniform(-1, 1, (cells * size[1] // size[0], cells, 3)).astype(np.float32)
        out += levels * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(out + 128, 0, 255).astype(np.uint8)


def view(of: Pixels, x: float, y: float = 100.0, size: tuple[int, int] = SIZE, zoom: float = 1.0) -> Pixels:
    """Return what a camera shows that looks at a wall, its left upper corner at (x, y)."""
    matrix = np.array([[1 / zoom, 0.0, x], [0.0, 1 / zoom, y]])
    found: Any = cv2.warpAffine(of, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(found, np.uint8)


def with_thing(picture: Pixels, of: Pixels, left: int, top: int = 40, side: int = 48) -> Pixels:
    """Return the picture with a square cut out of another wall before it."""
    out = picture.copy()
    out[top : top + side, left : left + side] = of[:side, :side]
    return out


def opened(**config: Any) -> FlowStage:
    stage = FlowStage()
    stage.configure(FlowConfig(**config))
    stage.open(StageContext())
    return stage


def seen(stage: FlowStage, pixels: Pixels, seq: int, *, source: str = "camera", rate_hz: int = 30) -> Flow:
    (one,) = stage.process(Frame(make_stamp(seq, source, rate_hz=rate_hz), pixels))
    assert one.stamp.seq == seq
    value = one.value
    assert isinstance(value, Flow)
    return value


def watched(stage: FlowStage, pictures: Sequence[Pixels], begin: int = 0) -> list[Flow]:
    return [seen(stage, one, begin + k) for k, one in enumerate(pictures)]
