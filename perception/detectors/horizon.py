"""How far ahead a detector looks that foresees as much as lies between the frames it joins.

Frames h apart give boxes h ahead (DaDe, arXiv:2206.06626, chooses among such steps). So the step is taken
whose horizon, measured on the frames that were really joined, comes nearest to the delay with which its
boxes are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from realtime.core.clock import NS_PER_S

LONGEST = 4


class Horizon(NamedTuple):
    """Say which frames to join, and when what is foreseen holds."""

    step: int
    """Frames between those joined; 0: the present is asked for."""
    ahead_s: float
    """After the current picture was taken."""


def horizon(times_ns: Sequence[int], delay_s: float | None, past: int, longest: int = LONGEST) -> Horizon:
    """Choose the step for pictures taken at `times_ns`, the current one last, of a detector that joins `past`
    pictures before it.

    `delay_s` None stands for a delay that nobody measured: one step is taken. A stream's first picture tells
    nothing of motion: its horizon is 0.
    """
    found = [Horizon(0, 0.0)]
    for step in range(1, min(longest, len(times_ns) - 1) + 1):
        gaps = min(past, (len(times_ns) - 1) // step)
        found.append(Horizon(step, (times_ns[-1] - times_ns[-1 - step * gaps]) / gaps / NS_PER_S))
    if delay_s is None:
        return found[min(1, len(found) - 1)]
    return min(found, key=lambda one: abs(one.ahead_s - delay_s))
