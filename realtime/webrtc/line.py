"""How much the line to one receiver carries, learnt from what it reports, and what is still on its way there.

aiortc sends what its encoder makes at once, and believes the receiver's estimate (REMB) alone. On a narrow
line that is not enough: reports get lost in the jam that they are about, lost packets are asked for again and
again, and each answer makes the jam longer. So the sender keeps books of its own. Pure: times come as
arguments, seconds of any one clock.
"""

from __future__ import annotations

START_BITS_S = 2_000_000
LEAST_BITS_S = 100_000
MOST_BITS_S = 6_000_000
"""Painted textures are hard to code: 256 to 512 px at 15 to 30 pictures a second want 1 to 3 Mbit/s."""
CEILING_BITS_S = 20_000_000
"""More cannot be asked for."""

GROWTH_A_SECOND = 1.15
MUCH_LOSS, HEAVY_LOSS = 0.10, 0.25
"""Above the first, loss is congestion if the line has a queue as well; above the second in any case. Radio
links lose as much as the first without being full, and to send less does not help them."""
QUEUE_S = 0.03
"""A round trip longer than the shortest by this means that packets wait somewhere."""
LONG_QUEUE_S = 0.12
FORGET_S = 30.0
"""A shortest round trip older than this may be of another route."""
SILENCE_S = 2.0
"""Receivers report at least each 1.5 s; without a report for this long the rate is halved, and again."""
BACKLOG_S, NARROW_BACKLOG_S = 0.25, 0.10
"""Pictures wait to be encoded while more than so much, at the line's rate, is still on its way. Routers of
narrow lines hold less: below NARROW_BITS_S the second counts."""
NARROW_BITS_S = 1_000_000
DRAIN = 1.2
"""What is sent is taken to arrive so much faster than the rate, which no encoder keeps exactly."""
REPEAT_SHARE = 0.5
"""At most this share of the rate goes into packets that are sent again."""
REPEAT_LEAST_S, REPEAT_LATER = 0.015, 1.5
"""A first copy is followed by a second after so long, by each further one so many times later."""


class Line:
    """Keep the books of one receiver. The media loop's alone."""

    def __init__(self, most_bits_s: int = MOST_BITS_S) -> None:
        self._most = float(min(max(most_bits_s, LEAST_BITS_S), CEILING_BITS_S))
        self._own = min(float(START_BITS_S), self._most)
        self._cap = self._most
        """What the receiver allows (REMB)."""
        self._heard_s: float | None = None
        self._round_s = 0.0
        self._shortest: list[tuple[float, float]] = []
        """Round trips that were the shortest, (when, seconds), newest last."""
        self._backlog_bits = 0.0
        self._drained_s = 0.0
        self._repeats_bits = 0.0
        self._repeated: dict[int, tuple[float, int]] = {}
        """By packet, when a copy was sent last, and how many were."""

    # What the receiver says.

    def estimated(self, bits_s: float, now_s: float) -> None:
        """Take the receiver's estimate (REMB)."""
        self._cap = bits_s
        self._heard_s = now_s

    def reported(self, lost_share: float, round_trip_s: float | None, now_s: float) -> None:
        """Take a receiver report (RFC 3550, 6.4.2): the share lost since the last, and the round trip."""
        since_s = min(now_s - self._heard_s, SILENCE_S) if self._heard_s is not None else 0.0
        self._heard_s = now_s
        queue_s = self._queue_s(round_trip_s, now_s)
        is_full = lost_share > MUCH_LOSS and queue_s > QUEUE_S
        if lost_share > HEAVY_LOSS or is_full:
            self._own = max(LEAST_BITS_S, min(self._own, self._cap) * (1 - 0.5 * lost_share))
        elif queue_s > LONG_QUEUE_S:
            self._own = max(LEAST_BITS_S, min(self._own, self._cap) * 0.85)
        elif lost_share < 0.02 or queue_s < QUEUE_S:
            self._own = min(self._most, self._own * GROWTH_A_SECOND**since_s)

    def bits_s(self, now_s: float) -> int:
        """Return what may be sent now."""
        rate = min(self._own, self._cap, self._most)
        if self._heard_s is not None:
            silence_s = now_s - self._heard_s - SILENCE_S
            if silence_s > 0:
                rate *= 0.5 ** (1 + int(silence_s / SILENCE_S))
        return int(max(rate, LEAST_BITS_S))

    # What is sent.

    def sent(self, bits: int, now_s: float) -> None:
        """Note that so much went out."""
        self._drain(now_s)
        self._backlog_bits += bits

    def wait_s(self, now_s: float) -> float:
        """Return how long the next picture should wait for those before it to arrive."""
        self._drain(now_s)
        rate = self.bits_s(now_s)
        room_s = BACKLOG_S if rate >= NARROW_BITS_S else NARROW_BACKLOG_S
        return max(0.0, self._backlog_bits / (DRAIN * rate) - room_s)

    def may_repeat(self, number: int, bits: int, now_s: float) -> bool:
        """Tell whether packet `number` may be sent again, and note that it is.

        Not while the last copy of it may still be on its way, and not when copies fill the line. A round trip
        that was measured while a machine was busy says too much, so it is not taken at its word for the first
        copies: who asks soon may know better.
        """
        self._drain(now_s)
        last_s, copies = self._repeated.get(number, (float("-inf"), 0))
        wait_s = min(REPEAT_LEAST_S * REPEAT_LATER ** (copies - 1), 0.9 * self._round_s)
        if now_s - last_s < max(wait_s, REPEAT_LEAST_S):
            return False
        if self._repeats_bits + bits > REPEAT_SHARE * self.bits_s(now_s):
            return False
        self._repeated.pop(number, None)
        self._repeated[number] = now_s, copies + 1
        while len(self._repeated) > 256:
            del self._repeated[next(iter(self._repeated))]
        self._repeats_bits += bits
        self._backlog_bits += bits
        return True

    def _drain(self, now_s: float) -> None:
        """Let what was sent arrive at the line's rate; what is repeated counts over one second."""
        passed_s = max(0.0, now_s - self._drained_s)
        self._drained_s = now_s
        rate = self.bits_s(now_s)
        self._backlog_bits = max(0.0, self._backlog_bits - passed_s * DRAIN * rate)
        self._repeats_bits = max(0.0, self._repeats_bits - passed_s * REPEAT_SHARE * rate)

    def _queue_s(self, round_trip_s: float | None, now_s: float) -> float:
        """Return how much longer the round trip is than the shortest of late; 0 when it is not known."""
        if round_trip_s is None or round_trip_s < 0:
            return 0.0
        self._round_s = round_trip_s
        self._shortest = [
            (at, trip) for at, trip in self._shortest if now_s - at < FORGET_S and trip < round_trip_s
        ]
        self._shortest.append((now_s, round_trip_s))
        return round_trip_s - self._shortest[0][1]
