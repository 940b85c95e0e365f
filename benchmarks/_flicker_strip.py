"""One picture that shows flicker and ghosts: paintings of three moments, and the change along the motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import _flicker_scores as scores
from benchmarks._flicker_clips import Clip

MOMENTS = (16, 17, 18)
GAIN = 6.0
"""Of the change that is shown."""
TILE_PX, GAP_PX, COLOURS = 208, 5, 32


def draw_strip(path: Path, ways: Mapping[str, Sequence[np.ndarray]], clip: Clip) -> None:
    """Write a row for each way: paintings in turn, then the change between the last two along the motion."""
    from PIL import Image

    rows = []
    for name, out in ways.items():
        last = MOMENTS[-1]
        flow = scores.painted_flow(clip.flows_HW2[last], len(out[last]))
        changed = np.abs(out[last] - scores.along(out[last - 1], flow)).mean(axis=2)
        changed *= scores.counted(clip.visible_HW[last], flow)
        shown: Any = np.repeat(255.0 - np.clip(GAIN * changed, 0, 255)[..., None], 3, axis=2)
        tiles = [np.clip(out[k], 0, 255).astype(np.uint8).copy() for k in MOMENTS] + [shown.astype(np.uint8)]
        tiles = [
            np.asarray(cv2.resize(tile, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)) for tile in tiles
        ]
        for tile, says in zip(tiles[:: len(tiles) - 1], (name, "change"), strict=True):
            for colour, width in (((255, 255, 255), 4), ((0, 0, 0), 1)):
                cv2.putText(tile, says, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, width, cv2.LINE_AA)
        rows.append(
            np.hstack([np.pad(t, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255) for t in tiles])
        )
    picture = Image.fromarray(np.vstack(rows)).quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
