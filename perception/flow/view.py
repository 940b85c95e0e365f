"""The stage that shows motion: colours and arrows on the pictures, each with the motion of its own moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from perception.recall import Recall
from perception.scene import shares_kept
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, StageContext, StageSpec

from .arrows import draw_arrows
from .camera import in_cells
from .check import cells
from .config import FlowViewConfig
from .value import Field, Flow
from .wheel import colours_of

KEPT = 8
"""Flows that a late picture may ask for: each is some megabytes."""
SMALLEST_PX = 48
"""A picture with a shorter side bears no arrows."""
STRONG = 2.0
"""A colour is laid on in full from the fastest divided by this."""


class FlowViewStage:
    """Draw the motion of the watched nodes on each picture."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="flow-view",
        takes=Frame,
        gives=Frame,
        config=FlowViewConfig,
        lane="show",
        says="Draws how everything moves: colours after its direction, and arrows.",
        watches=Flow,
    )

    def __init__(self) -> None:
        self._config = FlowViewConfig()
        self._watched: Mapping[str, Callable[[], Any | None]] = {}
        self._recall: Recall[Flow] = Recall(KEPT)

    def open(self, ctx: StageContext) -> None:
        self._watched = ctx.watched

    def configure(self, config: FlowViewConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        self._recall.look(self._watched)
        flows = [flow for _, flow in self._recall.nearest(item.stamp, self._config.stale_ms)]
        shown = item
        for flow in flows:
            if flow.span_s > 0 and (self._config.wheel > 0 or self._config.arrows):
                shown = Frame(item.stamp, drawn(shown.pixels, flow, self._config), item.maps, item.moved_from)
        return (Emitted(item.stamp, shown),)

    def reset(self) -> None:
        """Forget what was seen."""
        self._recall.reset()

    def close(self) -> None:
        self.reset()
        self._watched = {}


def drawn(pixels: npt.NDArray[np.uint8], flow: Flow, config: FlowViewConfig) -> npt.NDArray[np.uint8]:
    """Return a picture with the motion that leads to it; it may be the centred part of what was seen."""
    height, width = pixels.shape[:2]
    speed_HW2 = _in_view(_speed(flow, config), flow.size_px, (width, height))
    out = pixels.copy()
    if config.wheel > 0:
        out = _coloured(out, speed_HW2, config)
    if config.arrows and min(height, width) >= SMALLEST_PX:
        apart = height / config.arrows_down
        across = max(round(width / apart), 1)
        x, y = (np.arange(across) + 0.5) / across, (np.arange(config.arrows_down) + 0.5) / config.arrows_down
        at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
        rows = (at[:, 1] * speed_HW2.shape[0]).astype(int)
        columns = (at[:, 0] * speed_HW2.shape[1]).astype(int)
        ways = speed_HW2[rows, columns] * (height * config.arrow_ms / 1000)
        draw_arrows(out, at * np.array([width, height], np.float32), ways, max(round(height / 480), 1))
    return out


def _speed(flow: Flow, config: FlowViewConfig) -> Field:
    """Return the speed at each cell of the picture, in heights of the seen picture a second, (H, W, 2)."""
    height, width = flow.backward_HW2.shape[:2]
    gone: Any = -flow.backward_HW2
    if config.against_camera and flow.camera_23 is not None:
        camera = in_cells(flow.camera_23, width, height).astype(np.float32)
        was = cells(height, width) + flow.backward_HW2
        gone = cells(height, width) - (was @ camera[:, :2].T + camera[:, 2])
    if not config.unsure:
        gone = gone * flow.consistent_HW[..., None]
    # A stretched grid has cells of another ratio than the picture's.
    ratio = flow.size_px[0] / flow.size_px[1] / (width / height)
    return np.asarray(gone * (np.array([ratio, 1.0]) / (height * flow.span_s)), np.float32)


def _in_view(speed_HW2: Field, seen_px: tuple[int, int], shown_px: tuple[int, int]) -> Field:
    """Return the centred part of a field that the shown picture has, in its heights."""
    kept = shares_kept(seen_px, shown_px)
    height, width = speed_HW2.shape[:2]
    inner_x, inner_y = max(round(width * float(kept[0])), 1), max(round(height * float(kept[1])), 1)
    left, top = (width - inner_x) // 2, (height - inner_y) // 2
    return np.asarray(speed_HW2[top : top + inner_y, left : left + inner_x] / kept[1], np.float32)


def _coloured(
    picture_HW3: npt.NDArray[np.uint8], speed_HW2: Field, config: FlowViewConfig
) -> npt.NDArray[np.uint8]:
    """Lay the colours of a motion over a picture; what rests stays as it is."""
    size = picture_HW3.shape[1::-1]
    colours = cv2.resize(colours_of(speed_HW2, config.fastest), size, interpolation=cv2.INTER_LINEAR)
    strength = np.clip(np.linalg.norm(speed_HW2, axis=-1) * (STRONG / config.fastest), 0, 1)
    over = cv2.resize((config.wheel * strength).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.blendLinear(picture_HW3, colours, 1 - over, over), np.uint8)
