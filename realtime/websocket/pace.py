"""How many pictures may be under way, how many bits they may cost, and how large they may be.

A socket accepts more than the path carries, and what waits in it grows old. So the receiver acknowledges each
picture that it has decoded, and the sender keeps to what the path holds at its best: the shortest time to an
acknowledgement of late, times the rate of pictures, and one more. Whatever does not fit is dropped before it
is encoded, which costs no key picture. The bit rate follows the delay as it does in LEDBAT (RFC 6817): above
the shortest time something queues, so it falls quickly; below, it rises slowly.

Time comes in as an argument, in nanoseconds. `ui/assets/pace.js` is the twin for the page's own pictures.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from realtime.core.clock import NS_PER_MS, NS_PER_S


@dataclass(frozen=True, slots=True)
class Bounds:
    """Say between what a `Pace` moves."""

    least_bps: int = 150_000
    most_bps: int = 4_000_000
    start_bps: int = 1_000_000
    most_in_flight: int = 32


SCALES = (1.0, 0.75, 0.5)
SCALE_DOWN_BPS = (0.0, 500_000.0, 250_000.0)
"""Below which rate each of `SCALES` begins, for pictures of 640 x 480 px; other sizes in proportion."""
SCALE_UP = 1.6
"""A larger size comes back at this many times the rate at which it was left."""
REFERENCE_PX = 640 * 480

START_WINDOW = 4
NOMINAL_HZ = 30.0
MOST_HZ = 60.0
BASE_S = 10.0
"""The shortest delay is that of so many seconds, in two halves, so that a new path is learnt."""
QUEUE_MS = 25.0
"""So much more than the shortest delay is jitter; beyond that something queues."""
FALL, RISE = 0.8, 1.06
RISE_EVERY_S = 0.5
SMOOTH = 0.25
STUCK_S = 2.0
"""With no acknowledgement for so long, what is under way is given up: the receiver's decoder stands."""


class Pace:
    """Decide for one direction of one link. `sent` and `acked` tell it what happens."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self.bitrate_bps = self._bounds.start_bps
        self.scale = SCALES[0]
        self.delay_ms = 0.0
        """Smoothed time from sending to acknowledgement."""
        self._flight: deque[tuple[int, int, int, bool]] = deque()  # seq, sent_ns, bytes, is_key
        self._sent: deque[tuple[int, int]] = deque()  # sent_ns, bytes: the last second
        self._bases: list[tuple[int, float]] = []  # begin_ns, shortest ms: the newest two halves of BASE_S
        self._changed_ns: int | None = None
        self._heard_ns: int | None = None

    @property
    def in_flight(self) -> int:
        """Pictures sent and not yet acknowledged."""
        return len(self._flight)

    @property
    def base_ms(self) -> float | None:
        """The shortest time to an acknowledgement of late; None before the first."""
        return min((shortest for _, shortest in self._bases), default=None)

    def rate_hz(self, now_ns: int) -> float:
        """Return how many pictures a second are being sent; 30 until a second's worth is known."""
        self._forget(now_ns)
        if len(self._sent) < 2:
            return NOMINAL_HZ
        span_s = (self._sent[-1][0] - self._sent[0][0]) / NS_PER_S
        if span_s < 0.5:
            return NOMINAL_HZ
        return min(MOST_HZ, (len(self._sent) - 1) / span_s)

    def window(self, now_ns: int) -> int:
        """Return how many pictures may be under way."""
        base = self.base_ms
        if base is None:
            return START_WINDOW
        return min(self._bounds.most_in_flight, math.ceil(base / 1000 * self.rate_hz(now_ns)) + 1)

    def has_room(self, now_ns: int) -> bool:
        """Tell whether one more picture may be encoded now."""
        if self._flight and self._heard_ns is not None and now_ns - self._heard_ns > STUCK_S * NS_PER_S:
            self._flight.clear()
            self._heard_ns = now_ns
        return len(self._flight) < self.window(now_ns)

    def sent(self, seq: int, size_bytes: int, is_key: bool, now_ns: int) -> None:
        """Take note that picture `seq` was handed to the socket."""
        if not self._flight:
            self._heard_ns = now_ns
        self._flight.append((seq, now_ns, size_bytes, is_key))
        self._sent.append((now_ns, size_bytes))
        self._forget(now_ns)

    def acked(self, seq: int, now_ns: int) -> float | None:
        """Take note that all up to `seq` were decoded; return that picture's delay in ms, None if unknown."""
        delay_ms = None
        was_key = False
        while self._flight and _is_before(self._flight[0][0], seq + 1):
            number, sent_ns, _, was_key = self._flight.popleft()
            if number == seq & 0xFFFFFFFF:
                delay_ms = (now_ns - sent_ns) / NS_PER_MS
        if delay_ms is None:
            return None
        self._heard_ns = now_ns
        self._learn(delay_ms, now_ns)
        if not was_key:  # a key picture is many times as long as the others, and no sign of a queue
            self.delay_ms += (delay_ms - self.delay_ms) * (SMOOTH if self.delay_ms else 1.0)
            self._steer(now_ns)
        return delay_ms

    def resize(self, picture_px: int) -> None:
        """Choose the size for pictures that have `picture_px` pixels in full."""
        share = self.bitrate_bps * REFERENCE_PX / max(1, picture_px)
        index = SCALES.index(self.scale)
        if index + 1 < len(SCALES) and share < SCALE_DOWN_BPS[index + 1]:
            self.scale = SCALES[index + 1]
        elif index and share > SCALE_UP * SCALE_DOWN_BPS[index]:
            self.scale = SCALES[index - 1]

    def _learn(self, delay_ms: float, now_ns: int) -> None:
        if not self._bases or now_ns - self._bases[-1][0] > BASE_S * NS_PER_S / 2:
            self._bases = [*self._bases[-1:], (now_ns, delay_ms)]
        begin_ns, shortest = self._bases[-1]
        self._bases[-1] = (begin_ns, min(shortest, delay_ms))

    def _steer(self, now_ns: int) -> None:
        base = self.base_ms or 0.0
        since_s = math.inf if self._changed_ns is None else (now_ns - self._changed_ns) / NS_PER_S
        queue_ms = self.delay_ms - base
        used_bps = self.used_bps(now_ns)
        if queue_ms > max(QUEUE_MS, base / 4):
            # A change shows after one delay: to fall again earlier would be to fall twice for one reason.
            if since_s > max(0.2, self.delay_ms / 1000):
                aim = min(self.bitrate_bps, used_bps) if used_bps else self.bitrate_bps
                self._set(aim * FALL, now_ns)
        elif since_s > RISE_EVERY_S and used_bps > self.bitrate_bps / 2:
            self._set(self.bitrate_bps * RISE, now_ns)

    def used_bps(self, now_ns: int) -> float:
        """Return how many bits were sent in the last second."""
        self._forget(now_ns)
        return 8.0 * sum(size for _, size in self._sent)

    def _set(self, bitrate_bps: float, now_ns: int) -> None:
        self.bitrate_bps = round(min(self._bounds.most_bps, max(self._bounds.least_bps, bitrate_bps)))
        self._changed_ns = now_ns

    def _forget(self, now_ns: int) -> None:
        while self._sent and now_ns - self._sent[0][0] > NS_PER_S:
            self._sent.popleft()


def _is_before(seq: int, other: int) -> bool:
    """Tell whether a 32-bit number that wraps comes before another."""
    return 0 < (other - seq) & 0xFFFFFFFF < 1 << 31
