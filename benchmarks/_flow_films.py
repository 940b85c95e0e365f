"""Pairs of pictures whose flow is known: made films of two kinds, and the stereo pair of scikit-image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.flow.scenes import HELD_OUT, Ranges, film

SIZE_PX = (640, 360)
FIRST_SEED = 900_000
"""Training takes seeds below."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Hold two pictures and the flow from the first to the second."""

    first_HW3: npt.NDArray[np.uint8]
    second_HW3: npt.NDArray[np.uint8]
    flow_HW2: npt.NDArray[np.float32]
    known_HW: npt.NDArray[np.bool_]
    """Where the truth is known."""
    occluded_HW: npt.NDArray[np.bool_]
    """What of the first picture is not to be seen in the second."""


def made(films: int, frames: int, *, things: bool) -> Iterator[Pair]:
    """Yield pairs of held-out photographs that a camera moves over, with or without things before them."""
    ranges = Ranges() if things else Ranges(things=(0, 0))
    for seed in range(FIRST_SEED, FIRST_SEED + films):
        one = film(seed, SIZE_PX, frames, names=HELD_OUT, ranges=ranges)
        known = np.ones(SIZE_PX[::-1], bool)
        for t in range(frames - 1):
            first, second = one.pixels_THW3[t : t + 2]
            yield Pair(first, second, one.flow_THW2[t], known, one.occluded_THW[t])


def stereo() -> Pair:
    """Return the motorcycle of Middlebury's stereo sets, half-size: two cameras beside each other."""
    from skimage.data import stereo_motorcycle

    left, right, disparity = stereo_motorcycle()
    known = np.isfinite(disparity)
    flow: Any = np.zeros((*disparity.shape, 2), np.float32)
    flow[..., 0] = np.where(known, -disparity, 0)
    return Pair(left, right, flow, known, np.zeros_like(known))
