"""Motion as colour: hue says where to, strength how fast.

After Baker et al., "A Database and Evaluation Methodology for Optical Flow", ICCV 2007: to the right is red,
downwards yellow, to the left a blue that is nearly cyan, upwards violet.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from .value import Field

RED, YELLOW, GREEN = (1, 0, 0), (1, 1, 0), (0, 1, 0)
CYAN, BLUE, MAGENTA = (0, 1, 1), (0, 0, 1), (1, 0, 1)
STEPS = (
    (RED, YELLOW, 15),
    (YELLOW, GREEN, 6),
    (GREEN, CYAN, 4),
    (CYAN, BLUE, 11),
    (BLUE, MAGENTA, 13),
    (MAGENTA, RED, 6),
)
"""From each colour to the next so many hues: few where the eye tells few apart."""
DARKER = 0.75
"""Of what is faster than the fastest."""


@cache
def wheel_K3() -> npt.NDArray[np.float32]:
    """Return the 55 hues of the circle, 0 to 1."""
    parts = []
    for begin, end, count in STEPS:
        share = np.arange(count, dtype=np.float32)[:, None] / count
        parts.append((1 - share) * np.array(begin) + share * np.array(end))
    return np.concatenate(parts).astype(np.float32)


def colours_of(flow_HW2: Field, fastest: float) -> npt.NDArray[np.uint8]:
    """Return the colours (H, W, 3), RGB, of a flow; `fastest` is the length that has the full colour.

    What stands still is white, what is faster than the fastest is darker.
    """
    speed, angle = cv2.cartToPolar(flow_HW2[..., 0] / fastest, flow_HW2[..., 1] / fastest)
    hues = wheel_K3()
    at = angle * (len(hues) / (2 * np.pi))
    low = at.astype(np.int32)
    part = (at - low)[..., None]
    low %= len(hues)
    hue = hues[low] * (1 - part) + hues[(low + 1) % len(hues)] * part
    strength = speed[..., None]
    colour = np.where(strength <= 1, 1 - strength * (1 - hue), DARKER * hue)
    return np.asarray(np.rint(255 * np.clip(colour, 0, 1)), np.uint8)
