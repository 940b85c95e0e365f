"""Notice a client that is gone in seconds: ICE's consent (RFC 7675) takes half a minute to say so.

A client that pings and then sends nothing at all for 7 s is gone: neither pings nor pictures, nor reports of
what it received. A line that was dead for 5 s thus goes on by itself, also for clients that offer only once.
One that only ever sent pictures has longer, since a camera may be paused. One that never sent anything, as a
player may, is left to ICE.
"""

from __future__ import annotations

from realtime.core.clock import NS_PER_S, Clock

SPEAKER_SILENT_S = 7.0
SENDER_SILENT_S = 15.0


class Liveness:
    """Keep when something last came. All methods belong to one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard_ns = clock.now_ns()
        self._packets = 0
        self.has_pinged = False
        self.has_sent = False

    @property
    def silent_s(self) -> float:
        """Return for how long nothing has come."""
        return (self._clock.now_ns() - self._heard_ns) / NS_PER_S

    def ping(self) -> None:
        """Take note of a ping: from now on silence means something."""
        self.has_pinged = True
        self._heard_ns = self._clock.now_ns()

    def count(self, packets: int, pictures: int) -> None:
        """Take note of how many packets, and pictures among them, have come since the beginning."""
        if packets != self._packets:
            self._packets = packets
            self._heard_ns = self._clock.now_ns()
        self.has_sent |= pictures > 0

    def is_gone(self) -> bool:
        """Tell whether the client has been silent for longer than one that lives would be."""
        if self.has_pinged:
            return self.silent_s > SPEAKER_SILENT_S
        return self.has_sent and self.silent_s > SENDER_SILENT_S
