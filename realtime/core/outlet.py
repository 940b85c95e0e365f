"""Where a seat's results leave it. Nothing here blocks: what a full WAIT channel has no room for stays."""

from __future__ import annotations

from collections import deque
from typing import Any

from .channel import Channel, Drop
from .errors import ChannelClosed, ChannelFull
from .frame import Result


class Outlet:
    """Bring a seat's results to one channel: as they are, or only values of type `takes`, bare."""

    def __init__(self, channel: Channel[Any], takes: type | None = None) -> None:
        self.channel = channel
        self._takes = takes
        self._pending: deque[Any] = deque()

    @property
    def is_stuck(self) -> bool:
        return bool(self._pending)

    @property
    def has_room(self) -> bool:
        return len(self.channel) < self.channel.capacity or self.channel.closed

    def offer(self, result: Result[Any]) -> None:
        """Take one result in; `flush` brings it on."""
        if self._takes is None:
            self._pending.append(result)
        elif isinstance(result.value, self._takes):
            self._pending.append(result.value)

    def flush(self) -> None:
        """Put in what there is room for. Raises ChannelFull for a NEVER channel; that item is lost."""
        while self._pending:
            item = self._pending.popleft()
            try:
                self.channel.put(item, timeout_s=0)
            except ChannelFull:
                if self.channel.drop is not Drop.WAIT:
                    raise
                self._pending.appendleft(item)
                return
            except ChannelClosed:  # who listened has gone
                self._pending.clear()
