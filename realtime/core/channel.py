"""A bounded place between two threads, or a thread and an event loop, that decides what to forget.

One lock, one condition. Whoever waits is only ever *told that something changed* and then looks for itself;
no item is handed to a waiter. So a getter that is cancelled or times out takes nothing with it, and threads
and coroutines can wait side by side. Nothing polls.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from .clock import NS_PER_MS, Clock, MonotonicClock
from .errors import ChannelClosed, ChannelFull

T = TypeVar("T")
Listener = Callable[[], None]


class Drop(Enum):
    """Say what a full channel does with one more item."""

    OLDEST = "oldest"
    """Forget the oldest: live pictures. With capacity 1: one in work, one waiting, which is nearly as much as
    a longer queue lets through, and no older than it must be."""
    NEVER = "never"
    """Raise ChannelFull: sound and questions, of which none may be lost without a word."""
    WAIT = "wait"
    """Let the putter wait: files only, which have time."""


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """Count what went through a channel; put = got + dropped + depth at any moment."""

    name: str
    capacity: int
    put: int
    got: int
    dropped: int
    depth: int
    """Items inside now."""
    oldest_wait_ms: float
    """How long the oldest item has been inside; 0.0 when empty."""


class Channel(Generic[T]):
    """Pass items in order, at most `capacity` of them waiting. Every method from any thread.

    After `close` nothing goes in; what is inside still comes out. None cannot be an item: `poll` returns it
    when there is none.
    """

    def __init__(
        self, name: str, capacity: int = 1, drop: Drop = Drop.OLDEST, clock: Clock | None = None
    ) -> None:
        if capacity < 1:
            raise ValueError(f"channel {name} needs room for one item at least, got capacity {capacity}")
        self.name = name
        self.capacity = capacity
        self.drop = drop
        self._clock: Clock = clock or MonotonicClock()
        self._changed = threading.Condition(threading.Lock())
        self._items: deque[tuple[T, int]] = deque()  # with the time of `put`, ns
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._ready: list[Listener] = []
        self._room: list[Listener] = []
        self._put = self._got = self._dropped = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def __len__(self) -> int:
        return len(self._items)

    # Threads.

    def put(self, item: T, timeout_s: float | None = None) -> tuple[T, ...]:
        """Put an item in and return what was forgotten for it.

        OLDEST and NEVER never block. WAIT blocks while there is no room, at most `timeout_s` seconds.
        Raises ChannelFull (NEVER: no room; WAIT: none in time) or ChannelClosed.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while (forgotten := self._try_put(item)) is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise self._full()
                self._changed.wait(left)
        self._tell(self._ready)
        return forgotten

    def get(self, timeout_s: float | None = None) -> T:
        """Take the oldest item, waiting for one at most `timeout_s` seconds.

        Raises TimeoutError, or ChannelClosed once the channel is closed and empty.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while (taken := self._try_get()) is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"channel {self.name}: nothing came within {timeout_s} s")
                self._changed.wait(left)
        self._tell(self._room)
        return taken[0]

    def poll(self) -> T | None:
        """Take the oldest item if there is one, else return None, also when closed."""
        taken = self.poll_timed()
        return None if taken is None else taken[0]

    def poll_timed(self) -> tuple[T, float] | None:
        """Take the oldest item if there is one, with the milliseconds that it waited inside."""
        with self._changed:
            taken = self._take() if self._items else None
        if taken is None:
            return None
        self._tell(self._room)
        return taken[0], (self._clock.now_ns() - taken[1]) / NS_PER_MS

    # Coroutines.

    async def aput(self, item: T) -> tuple[T, ...]:
        """Put an item in as `put` does; WAIT awaits room without blocking the loop."""
        while True:
            with self._changed:
                forgotten = self._try_put(item)
                change = self._sleeper() if forgotten is None else None
            if forgotten is not None:
                self._tell(self._ready)
                return forgotten
            await self._sleep(change)

    async def aget(self) -> T:
        """Take the oldest item, awaiting one. To cancel it loses no item.

        Raises ChannelClosed once the channel is closed and empty.
        """
        while True:
            with self._changed:
                taken = self._try_get()
                change = self._sleeper() if taken is None else None
            if taken is not None:
                self._tell(self._room)
                return taken[0]
            await self._sleep(change)

    def __aiter__(self) -> Channel[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.aget()
        except ChannelClosed:
            raise StopAsyncIteration from None

    # Both.

    def clear(self) -> int:
        """Forget what is inside and return how many that were; they count as dropped."""
        with self._changed:
            count = len(self._items)
            self._items.clear()
            self._dropped += count
            self._wake()
        self._tell(self._room)
        return count

    def close(self) -> None:
        """Let nothing more in and wake all that wait. Twice does no harm."""
        with self._changed:
            was_closed, self._closed = self._closed, True
            self._wake()
        if not was_closed:
            self._tell(self._ready)
            self._tell(self._room)

    def on_ready(self, callback: Listener) -> Callable[[], None]:
        """Call `callback` after each put and at close, on the putter's thread; the result detaches it."""
        return self._listen(self._ready, callback)

    def on_room(self, callback: Listener) -> Callable[[], None]:
        """Call `callback` after each get or clear and at close, on that thread; the result detaches it."""
        return self._listen(self._room, callback)

    def stats(self) -> ChannelStats:
        """Return the counts, all of one moment."""
        with self._changed:
            oldest_ns = self._items[0][1] if self._items else None
            wait_ms = 0.0 if oldest_ns is None else (self._clock.now_ns() - oldest_ns) / NS_PER_MS
            depth = len(self._items)
            return ChannelStats(self.name, self.capacity, self._put, self._got, self._dropped, depth, wait_ms)

    # With the lock held.

    def _try_put(self, item: T) -> tuple[T, ...] | None:
        """Return what was forgotten, or None when the putter has to wait for room."""
        if self._closed:
            raise ChannelClosed(f"Channel {self.name} is closed; nothing more can be put in.")
        forgotten: tuple[T, ...] = ()
        if len(self._items) >= self.capacity:
            if self.drop is Drop.NEVER:
                raise self._full()
            if self.drop is Drop.WAIT:
                return None
            forgotten = (self._items.popleft()[0],)
            self._dropped += 1
        self._items.append((item, self._clock.now_ns()))
        self._put += 1
        self._wake()
        return forgotten

    def _try_get(self) -> tuple[T, int] | None:
        if self._items:
            return self._take()
        if self._closed:
            raise ChannelClosed(f"Channel {self.name} is closed; nothing more will come.")
        return None

    def _take(self) -> tuple[T, int]:
        taken = self._items.popleft()
        self._got += 1
        self._wake()
        return taken

    def _sleeper(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        change: asyncio.Future[None] = loop.create_future()
        self._sleepers.append((loop, change))
        return change

    def _wake(self) -> None:
        self._changed.notify_all()
        sleepers, self._sleepers = self._sleepers, []
        for loop, change in sleepers:
            with suppress(RuntimeError):  # that loop is closed, and its coroutines with it
                loop.call_soon_threadsafe(_settle, change)

    # Without it.

    async def _sleep(self, change: asyncio.Future[None] | None) -> None:
        assert change is not None
        try:
            await change
        finally:
            if change.cancelled():
                with self._changed:
                    self._sleepers = [one for one in self._sleepers if one[1] is not change]

    def _full(self) -> ChannelFull:
        return ChannelFull(
            f"Channel {self.name} is full: {self.capacity} items wait and nobody takes them.",
            hint="The reader is too slow; send less.",
        )

    def _listen(self, listeners: list[Listener], callback: Listener) -> Callable[[], None]:
        with self._changed:
            listeners.append(callback)

        def detach() -> None:
            with self._changed:
                if callback in listeners:
                    listeners.remove(callback)

        return detach

    def _tell(self, listeners: list[Listener]) -> None:
        for listener in tuple(listeners):
            listener()


def _settle(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)
