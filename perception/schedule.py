"""When a detector should begin: now, with the newest picture, or with the next one, or after a rest.

A run that is begun in the middle of a frame interval works on a picture that is old already. Where the next
picture would make the answer younger, waiting for it pays: the shrinking tail of streaming perception (Li,
Wang, Ramanan 2020, section 3.2, arXiv:2005.10420). And who paints on the same processor wants a share of it:
after each run the detector rests until it has used no more than it may.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from realtime.core.clock import NS_PER_S

REMEMBERED = 30
"""Runs of which the duration is known."""
STEADY = 0.35
"""Waiting is for durations that deviate by less than this part of a frame interval: else it is a guess."""


def worth_waiting(phase: float, runs: Sequence[float]) -> bool:
    """Tell whether to begin with the next frame rather than now.

    `phase` is what has passed of the frame interval, 0 to 1; `runs` are durations, both in frame intervals.
    Waiting pays where the run after this one would begin earlier in its interval than this one would: then
    its picture is the younger one. Of several durations the mean of where they end counts.
    """
    if not runs or not 0 < phase < 1:
        return False
    mean = math.fsum(runs) / len(runs)
    deviation = math.sqrt(math.fsum((run - mean) ** 2 for run in runs) / len(runs))
    if mean <= 1 or deviation > STEADY:
        return False
    return math.fsum((phase + run) % 1.0 for run in runs) / len(runs) < phase


class Schedule:
    """Decide for one stream, from what its runs took. Times are nanoseconds of one monotonic clock."""

    def __init__(self, share: float = math.inf) -> None:
        self.share = share
        """The largest part of one core's time that the detector may use, above 0; several threads may take
        more than 1."""
        self._runs_ns: deque[int] = deque(maxlen=REMEMBERED)
        self._rests_until_ns: int | None = None

    def ran(self, began_ns: int, ended_ns: int, busy_s: float | None = None) -> None:
        """Hear of a run. `busy_s` is the processor time of all its threads; else it counts as one thread."""
        took_ns = ended_ns - began_ns
        busy_ns = took_ns if busy_s is None else round(busy_s * NS_PER_S)
        self._rests_until_ns = began_ns + max(took_ns, round(busy_ns / self.share))
        self._runs_ns.append(self._rests_until_ns - began_ns)

    def rest_s(self, now_ns: int) -> float:
        """Return how long the detector must still rest; 0 when it may run."""
        if self._rests_until_ns is None:
            return 0.0
        return max(self._rests_until_ns - now_ns, 0) / NS_PER_S

    def begins(self, now_ns: int, came_ns: int, interval_s: float) -> bool:
        """Tell whether to begin now, with the newest picture, which came at `came_ns`.

        False means: ask again when the next picture comes, or the rest is over. `interval_s` is the time
        between pictures; 0 where it is not known, and then nobody waits.
        """
        if self.rest_s(now_ns) > 0:
            return False
        if interval_s <= 0:
            return True
        frame_ns = interval_s * NS_PER_S
        return not worth_waiting((now_ns - came_ns) / frame_ns, [run / frame_ns for run in self._runs_ns])

    def reset(self) -> None:
        """Forget what runs took: another detector, or another size. A rest that was begun is kept."""
        self._runs_ns.clear()
