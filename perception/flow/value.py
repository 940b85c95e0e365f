"""What is known of the motion from one picture to the next: the value that other stages watch.

Fields have a grid of their own, often smaller than the picture, and are in cells of it, x before y; `size_px`
is the picture's. Camera motion is in shares of the picture, as boxes are (perception/scene.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime.core.frame import Map, Stamp
from realtime.core.movement import Movement

from .path import Affine, CameraPath
from .rest import Rest

Field = npt.NDArray[np.float32]
"""(H, W, 2): how far each cell moves, x and y, in cells."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow(Movement):
    """Hold the motion between two pictures. Nobody writes to its arrays."""

    stamp: Stamp
    """Of the later picture: this one."""
    before: Stamp | None
    """Of the earlier one; None where there is none to compare with: at first, after a cut, after a change of
    size, and for a picture that shows nothing. All fields are 0 then and nothing is consistent."""
    size_px: tuple[int, int]
    """Width and height of the picture."""
    forward_HW2: Field
    """What was at p of the earlier picture is at p + forward in this one."""
    backward_HW2: Field
    """What is at p of this picture was at p + backward in the earlier one."""
    consistent_HW: npt.NDArray[np.bool_]
    """What of this picture was to be seen in the earlier one: there and back leads home."""
    camera_23: Affine | None = None
    """Where the camera's motion takes a point of the earlier picture, in shares; None where not known."""
    inliers: float = 0.0
    """Share of the points looked at that move as `camera_23` says."""
    speed: float = 0.0
    """Median speed of what is consistent, in heights of the picture a second."""
    moving_share: float = 0.0
    """Share of the points looked at that move against the camera."""
    is_cut: bool = False
    """Whether another scene begins with this picture."""
    camera_moves: bool = False
    things_move: bool = False
    """Both settled: a jolt or a flicker does not count."""
    happened: tuple[Mapping[str, Any], ...] = ()
    """What began or ended: objects with "what": "cut", "started moving" and "stopped moving" with "who"."""
    path: CameraPath = field(default_factory=CameraPath)
    """How the camera moved over the last pictures, this one included."""
    rest: Rest = field(default_factory=Rest)
    """Since when nothing moves."""

    @property
    def span_s(self) -> float:
        """Time between the two pictures; 0 where there is only one."""
        return 0.0 if self.before is None else (self.stamp.captured_ns - self.before.captured_ns) / 1e9

    def moved(self, since_ns: int) -> bool | None:
        return self.rest.moved(since_ns)

    def maps(self) -> dict[str, Map]:
        """Return it as the maps that a painter's frame may carry (pipelines/diffusion/motion.py)."""
        hidden = np.asarray(~self.consistent_HW, np.float32)
        return {"flow": self.backward_HW2, "flow_back": self.forward_HW2, "occlusion": hidden}

    def told(self, now_ns: int) -> dict[str, Any]:
        """Return what a page needs: how the camera moved, how fast it all is, and what happened."""
        camera = self.camera_23
        return {
            "type": "motion",
            "captured_ns": self.stamp.captured_ns,
            "age_ms": round(self.stamp.age_ms(now_ns), 1),
            "span_ms": round(1000 * self.span_s, 1),
            "camera": None if camera is None else [[round(float(x), 5) for x in row] for row in camera],
            "inliers": round(self.inliers, 3),
            "speed": round(self.speed, 4),
            "camera_moves": self.camera_moves,
            "things_move": self.things_move,
            "happened": [dict(one) for one in self.happened],
        }
