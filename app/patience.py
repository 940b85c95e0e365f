"""How long a session waits for its client: to connect, to speak, to come back."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.core.clock import NS_PER_S

from .links import Links

LINGER_S = 10.0
"""A failed session stays this long, so that its page can read why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times after which a session is closed or told of, in seconds."""

    connect_timeout_s: float = 30.0
    idle_timeout_s: float = 60.0
    resume_timeout_s: float = 20.0
    stats_interval_s: float = 0.5
    drain_timeout_s: float = 5.0


@dataclass(slots=True)
class Patience:
    """Keep the times that count, in monotonic nanoseconds."""

    limits: Limits
    begun_ns: int
    heard_ns: int
    """When the client last sent a picture or a message."""
    speaks: bool
    """Whether silence means that the client has gone: it sends pictures, or has sent a ping."""
    failed_ns: int | None = None

    def overdue(self, now_ns: int, links: Links, why: str) -> str:
        """Say why the session should end by now, or ""; `why` is what a failed one says."""
        if self.failed_ns is not None:
            return why if now_ns - self.failed_ns > LINGER_S * NS_PER_S else ""
        limits = self.limits
        if not links.was_connected:
            if now_ns - self.begun_ns <= limits.connect_timeout_s * NS_PER_S:
                return ""
            if links.has_failed:
                return "No connection came about."
            return f"Nobody connected within {limits.connect_timeout_s:g} s."
        if links.lost_ns is not None:
            gone = now_ns - links.lost_ns > limits.resume_timeout_s * NS_PER_S
            return "The other side has gone." if gone else ""
        idle = self.speaks and now_ns - self.heard_ns > limits.idle_timeout_s * NS_PER_S
        return f"Nothing was heard for {limits.idle_timeout_s:g} s." if idle else ""
