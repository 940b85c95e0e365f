"""Which size and rate of pictures a bit rate is enough for: rather small and whole than large and broken.

The encoder obeys its bit rate by blurring, but not below what even the coarsest picture costs. So size and
rate go down before that, at once when the line gets narrow, and up again one step at a time once there has
been room for a while. Pure: times come as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

BITS_A_PIXEL = 0.06
"""Least for a textured picture that can be looked at (H.264, x264 "ultrafast")."""
ROOM = 1.5
"""A step up needs so much more than it costs."""
UP_AFTER_S = 3.0
SMALLEST_SIDE_PX = 96


@dataclass(frozen=True, slots=True)
class Step:
    """How pictures are sent: their sides divided by `divisor`, at most `most_hz` a second."""

    divisor: float
    most_hz: float

    def size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return even sides; the picture's own if they would get too small."""
        if self.divisor == 1 or min(width_px, height_px) / self.divisor < SMALLEST_SIDE_PX:
            return width_px, height_px
        # PyAV wraps heights that are multiples of 4 without a copy, and encoders like sides of 16.
        return tuple(max(16, int(side / self.divisor) // 16 * 16) for side in (width_px, height_px))  # type: ignore[return-value]


STEPS = (Step(1, 120), Step(4 / 3, 30), Step(2, 30), Step(2, 15), Step(3, 15), Step(4, 8))


class Shaper:
    """Choose a step for what the line carries; the first is the picture as it is."""

    def __init__(self) -> None:
        self._at = 0
        self._room_since_s: float | None = None

    @property
    def step(self) -> Step:
        return STEPS[self._at]

    def choose(self, bits_s: float, width_px: int, height_px: int, rate_hz: float, now_s: float) -> Step:
        """Return the step for pictures of this size that come at `rate_hz`."""

        def cost(step: Step) -> float:
            width, height = step.size_px(width_px, height_px)
            return width * height * min(rate_hz, step.most_hz) * BITS_A_PIXEL

        while self._at < len(STEPS) - 1 and cost(STEPS[self._at]) > bits_s:
            self._at += 1
            self._room_since_s = None
        if self._at and cost(STEPS[self._at - 1]) * ROOM <= bits_s:
            if self._room_since_s is None:
                self._room_since_s = now_s
            elif now_s - self._room_since_s >= UP_AFTER_S:
                self._at -= 1
                self._room_since_s = now_s
        else:
            self._room_since_s = None
        return STEPS[self._at]
