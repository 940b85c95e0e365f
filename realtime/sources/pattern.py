"""A moving test picture that carries its own number: a camera for machines that have none, and for tests."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from realtime.core.clock import Clock, MonotonicClock
from realtime.core.errors import ConfigError
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.pacing import Metronome

from .base import OnAudio, OnFrame, ThreadedSource
from .mark import SMALLEST_SIDE_PX, write_mark

Pixels = npt.NDArray[np.uint8]

_DRIFT_PX = 64


@lru_cache(maxsize=8)
def _backdrop(width_px: int, height_px: int) -> Pixels:
    """Return a soft, coloured texture, larger than the picture by the drift."""
    y, x = np.mgrid[0 : height_px + _DRIFT_PX, 0 : width_px + _DRIFT_PX].astype(np.float32)
    waves = [np.sin(x / 23 + 2 * np.sin(y / 41)), np.sin(y / 29 + x / 71), np.cos(x / 37 - y / 53)]
    return np.stack([110 + 70 * wave for wave in waves], axis=-1).astype(np.uint8)


def pattern_picture(seq: int, width_px: int, height_px: int, *, mark: bool = True) -> Pixels:
    """Return picture `seq`, (H, W, 3) RGB: a drifting texture, two moving shapes, with `mark` its number.

    The same arguments give the same pixels.
    """
    dx, dy = (int(_DRIFT_PX / 2 * (1 + np.sin(seq / period))) for period in (31, 47))
    picture = _backdrop(width_px, height_px)[dy : dy + height_px, dx : dx + width_px].copy()
    side = min(width_px, height_px)
    centre = (
        int(width_px * (0.5 + 0.3 * np.sin(seq / 17))),
        int(height_px * (0.35 + 0.15 * np.cos(seq / 23))),
    )
    cv2.circle(picture, centre, max(side // 7, 1), (235, 190, 60), -1, cv2.LINE_AA)
    cv2.circle(picture, centre, max(side // 7, 1), (40, 30, 60), max(side // 80, 1), cv2.LINE_AA)
    corner = (int(width_px * (0.5 + 0.4 * np.cos(seq / 29))) - side // 10, int(height_px * 0.15))
    far = (corner[0] + side // 5, corner[1] + side // 6)
    cv2.rectangle(picture, corner, far, (50, 90, 200), -1)
    if mark:
        write_mark(picture, seq)
    return picture


class PatternSource(ThreadedSource):
    """Give `pattern_picture`s at `rate_hz`, or with `paced=False` as fast as they are taken.

    When the reader or the machine is late, the next picture is due one interval after the late one: pictures
    are never bunched, and `seq` has no gap.
    """

    def __init__(
        self,
        width_px: int = 640,
        height_px: int = 480,
        rate_hz: float = 30.0,
        *,
        count: int | None = None,
        paced: bool = True,
        mark: bool = True,
        name: str = "pattern",
        clock: Clock | None = None,
    ) -> None:
        super().__init__(name, clock or MonotonicClock())
        smallest = SMALLEST_SIDE_PX if mark else 1
        if min(width_px, height_px) < smallest or max(width_px, height_px) > 8192:
            raise ConfigError(
                f"A test picture cannot be {width_px} x {height_px} px.",
                hint=f"Choose a width and height between {smallest} and 8192.",
            )
        if not 0 < rate_hz <= 1000:
            raise ConfigError(
                f"A rate of {rate_hz} pictures a second is not possible.", hint="Use 1 to 1000."
            )
        self._size = (width_px, height_px)
        self._rate_hz = rate_hz
        self._interval_ticks = 1 / (rate_hz * VIDEO_CLOCK)
        self._count = count
        self._paced = paced
        self._mark = mark

    def _deliver(self, on_frame: OnFrame, on_audio: OnAudio | None) -> None:
        beat = Metronome(self._rate_hz, self._clock.now_ns())
        seq = 0
        while not self._stopping.is_set() and (self._count is None or seq < self._count):
            if self._paced:
                if not self._wait_until(beat.due_ns):
                    return
                beat.beat(self._clock.now_ns())
            pixels = pattern_picture(seq, *self._size, mark=self._mark)
            pts = round(seq * self._interval_ticks)
            on_frame(Frame(Stamp(self.name, seq, pts, VIDEO_CLOCK, self._clock.now_ns()), pixels))
            seq += 1
