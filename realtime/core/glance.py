"""The newest result of another node, for a stage that looks at it and never waits for it."""

from __future__ import annotations

import threading
from typing import Any

from .channel import Channel


class Glance:
    """Give the newest value that came out of a node, again and again; from any thread.

    A picture must not wait for what is drawn on it, so a late or missing value is simply not there.
    """

    def __init__(self, channel: Channel[Any]) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._newest: Any = None

    def __call__(self) -> Any | None:
        """Return the newest value, or None before the first."""
        with self._lock:
            while (value := self._channel.poll()) is not None:
                self._newest = value
            return self._newest
