"""How long a session waits for its client: to connect, to speak, to come back."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.core.clock import NS_PER_S

from .links import Links

WARN_S = 60.0
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
    session_limit_s: float = 0.0
    """0: a session may last for ever."""


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
    is_warned: bool = False

    def overdue(self, now_ns: int, links: Links, why: str) -> str:
        """Say why the session should end by now, or ""; `why` is what a failed one says."""
        if self.failed_ns is not None:
            return why if now_ns - self.failed_ns > LINGER_S * NS_PER_S else ""
        limits = self.limits
        if 0 < limits.session_limit_s * NS_PER_S < now_ns - self.begun_ns:
            return f"The time of {spoken(limits.session_limit_s)} is over."
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

    def warning(self, now_ns: int) -> str:
        """Say once, a minute before (or at half of a shorter time), that the session will end; or ""."""
        limit_s = self.limits.session_limit_s
        left_s = limit_s - (now_ns - self.begun_ns) / NS_PER_S
        if limit_s == 0 or self.is_warned or left_s > min(WARN_S, limit_s / 2):
            return ""
        self.is_warned = True
        return f"This session ends in {spoken(max(1, round(left_s)))}."


def spoken(time_s: float) -> str:
    """Write a time as a person would say it."""
    if time_s >= 120 and time_s % 60 == 0:
        return f"{time_s / 60:g} minutes"
    return "1 minute" if time_s == 60 else f"{time_s:g} s"
