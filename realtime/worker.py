"""A thread that takes items from a channel: how decoded or received media leaves the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .core.channel import Channel
from .core.errors import ChannelClosed, VitascopeError

T = TypeVar("T")


class Worker(Generic[T]):
    """Take items from a channel on a thread of its own until the channel closes.

    What `handle` raises as a VitascopeError goes to `on_error` and the worker goes on; a ChannelClosed
    means that whoever listened has gone, and is not worth a word. Any other exception ends the thread: it
    is logged by threading.excepthook and `on_ended(False)` tells.
    """

    def __init__(
        self,
        name: str,
        channel: Channel[T],
        handle: Callable[[T], None],
        on_error: Callable[[VitascopeError], None],
        on_ended: Callable[[bool], None] = lambda clean: None,
    ) -> None:
        self._channel = channel
        self._handle = handle
        self._on_error = on_error
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def stop(self, timeout_s: float = 2.0) -> None:
        """Close the channel, forget what is in it and wait for the thread without blocking the loop."""
        self._channel.close()
        self._channel.clear()
        try:
            await asyncio.wait_for(self._ended.wait(), timeout_s)
        except TimeoutError:
            return  # it hangs in a callback; it is a daemon and ends with the callback
        self._thread.join()

    def _run(self) -> None:
        clean = False
        try:
            while True:
                try:
                    item = self._channel.get()
                except ChannelClosed:
                    clean = True
                    return
                try:
                    self._handle(item)
                except ChannelClosed:
                    continue
                except VitascopeError as error:
                    self._on_error(error)
        finally:
            self._on_ended(clean)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._ended.set)
