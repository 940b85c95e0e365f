"""The event loop that carries media, on a thread of its own, and how late it runs.

Page and HTTP live on the server's loop. A slow callback there, or a burst of page events, must not delay the
packets of a running session, so peers and sessions live here and the routes hand their work over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from realtime.core.errors import SessionError, VitascopeError
from realtime.core.metrics import Histogram

log = logging.getLogger(__name__)

T = TypeVar("T")

LAG_PROBE_S = 0.25
STOP_TIMEOUT_S = 10.0


async def outcome(work: Coroutine[Any, Any, None]) -> VitascopeError | None:
    """Await `work` and return the error that ended it; a fault in the program is logged and becomes one."""
    error: BaseException | None = (await asyncio.gather(work, return_exceptions=True))[0]
    if error is None or isinstance(error, VitascopeError):
        return error
    if not isinstance(error, Exception):
        raise error
    log.error("opening failed", exc_info=error)
    return SessionError(f"Opening failed: {error}.", hint="The log holds the details.")


class MediaLoop:
    """Run coroutines on a loop of their own. `start` and `stop` from any other thread."""

    def __init__(self, name: str = "media") -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.lag_ms = Histogram(f"{name}_loop_lag_ms")

    def start(self) -> None:
        """Begin; returns when the loop runs."""
        if self._thread is not None:
            return
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name=f"loop-{self._name}", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Cancel what still runs and end the thread. Twice does no harm."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_TIMEOUT_S)
        self._loop = self._thread = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` on the loop from any thread."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the media loop does not run")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the media loop and wait for it on the caller's loop."""
        return await asyncio.wrap_future(self.submit(work))

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            probe = loop.create_task(self._measure(), name="loop-lag")
            self._loop = loop
            loop.call_soon(ready.set)
            loop.run_forever()
            probe.cancel()

    async def _measure(self) -> None:
        """Observe how much later than asked a timer fires."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self.lag_ms.observe(max(0.0, (loop.time() - due) * 1000))
