"""What stages say that is no picture, on its way to client and record: who is where, what was heard.

A value of such a stage has `told(now_ns)`, which makes an event of it. Positions change all the time, and a
page needs no more of them than it can draw; what happened is told each time, and at once. So is a value that
says of itself that it `is_news`, as the final words of an utterance do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from realtime.core.channel import Channel
from realtime.core.clock import NS_PER_S, Clock
from realtime.core.frame import Result

from .events import Event

TELL_HZ = 15.0
"""Events of one node a second, at most, besides those in which something happened."""


class Telling:
    """Turn the results of one session's telling nodes into events, until `close`. On the loop."""

    def __init__(
        self, channels: Iterable[Channel[Result[Any]]], put: Callable[[Event], object], clock: Clock
    ) -> None:
        self._put = put
        self._clock = clock
        self._channels = list(channels)
        self._tasks = [asyncio.create_task(self._follow(one)) for one in self._channels]

    async def close(self) -> None:
        """Say no more."""
        for channel in self._channels:
            channel.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, channel: Channel[Result[Any]]) -> None:
        gap_ns = round(NS_PER_S / TELL_HZ)
        next_ns = 0
        async for result in channel:
            if result.value is None:
                continue
            now_ns = self._clock.now_ns()
            event = {**result.value.told(now_ns), "node": result.stage}
            for one in event.get("happened", ()):
                self._put({"type": "result", "node": result.stage, **one})
            if getattr(result.value, "is_news", False):
                self._put(event)
            elif now_ns >= next_ns:
                next_ns = max(next_ns + gap_ns, now_ns)
                self._put(event)
