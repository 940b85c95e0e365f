"""How the camera moved over a while: the motions between single pictures, put one after the other.

Who looks now and then, as a detector does, asks for the motion between its own two pictures. The answer is
given only where every picture in between was understood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]
"""(2, 3): takes a point of the earlier picture to the later one, both in shares."""
KEPT = 120
"""Steps: four seconds at 30 pictures a second."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Hold the camera's motion from one picture to the next."""

    from_ns: int
    to_ns: int
    camera_23: Affine


@dataclass(frozen=True, slots=True, eq=False)
class CameraPath:
    """Hold steps without a gap between them, the oldest first. Immutable."""

    steps: tuple[Step, ...] = ()

    def onward(self, from_ns: int, to_ns: int, camera_23: Affine | None) -> CameraPath:
        """Return the path with one more step; None, or a gap before it, begins anew."""
        if camera_23 is None or to_ns <= from_ns:
            return CameraPath()
        step = Step(from_ns, to_ns, camera_23)
        if not self.steps or self.steps[-1].to_ns != from_ns:
            return CameraPath((step,))
        return CameraPath((*self.steps[1 - KEPT :], step))

    def between(self, from_ns: int, to_ns: int) -> Affine | None:
        """Return the motion from one moment to a later one; None where the steps do not cover all of it.

        Within a step the motion is taken as even.
        """
        if not self.steps or not self.steps[0].from_ns <= from_ns < to_ns <= self.steps[-1].to_ns:
            return None
        whole = np.eye(3)
        for step in self.steps:
            begin, end = max(step.from_ns, from_ns), min(step.to_ns, to_ns)
            if begin < end:
                share = (end - begin) / (step.to_ns - step.from_ns)
                part = np.eye(3)
                part[:2] += share * (step.camera_23 - part[:2])
                whole = part @ whole
        return whole[:2]
