"""What every source is: a thread that stamps samples at the door and hands them to a callback.

A source knows nothing of channels or sessions. Its callbacks run on its own thread; when they block (a graph
that reads files) the source waits, when they drop (a live graph) it goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from realtime.core.clock import NS_PER_S, Clock
from realtime.core.errors import ChannelClosed, SourceClosed, VitascopeError
from realtime.core.frame import AudioChunk, Frame

OnFrame = Callable[[Frame], object]
OnAudio = Callable[[AudioChunk], object]
OnEnd = Callable[[VitascopeError | None], None]

JOIN_TIMEOUT_S = 10.0


class Source(Protocol):
    """Give samples from the outside world."""

    name: str
    """Goes into every stamp; unique within a session."""

    @property
    def error(self) -> VitascopeError | None:
        """Why it ended, or None while it runs and after a proper end."""

    @property
    def done(self) -> threading.Event:
        """Set when no more callbacks will come."""

    def start(self, on_frame: OnFrame, on_audio: OnAudio | None = None, on_end: OnEnd | None = None) -> None:
        """Begin. Callbacks come on the source's thread; `on_end` once, last, with the reason or None."""

    def stop(self) -> None:
        """End and wait for the thread. Twice does no harm."""


class ThreadedSource:
    """Run `_deliver` on a thread and settle how it ends; subclasses give samples in `_deliver`."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._error: VitascopeError | None = None
        self._thread: threading.Thread | None = None

    @property
    def error(self) -> VitascopeError | None:
        return self._error

    @property
    def done(self) -> threading.Event:
        return self._done

    def start(self, on_frame: OnFrame, on_audio: OnAudio | None = None, on_end: OnEnd | None = None) -> None:
        """Begin on a new thread. A source runs once."""
        if self._thread is not None:
            raise RuntimeError(f"source {self.name!r} was started before; make a new one")
        self._thread = threading.Thread(
            target=self._run, args=(on_frame, on_audio, on_end), name=f"source-{self.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end and wait for it, at most 10 s (a read that hangs ends by its own time-out).

        A callback that waits for room in a channel ends when the channel is closed: close the graph first.
        """
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN_TIMEOUT_S)

    def _run(self, on_frame: OnFrame, on_audio: OnAudio | None, on_end: OnEnd | None) -> None:
        settled = False
        try:
            self._deliver(on_frame, on_audio)
            settled = True
        except ChannelClosed:  # whoever listened has gone: an ordinary end
            settled = True
        except VitascopeError as error:
            settled = True
            self._error = error
        finally:
            if not settled:  # the exception goes on to threading.excepthook, which logs it
                self._error = SourceClosed(
                    f"{self.name} stopped because of a fault in the program.",
                    hint="Start it again; the log holds the details.",
                )
            self._done.set()
            if on_end is not None:
                on_end(self._error)

    def _deliver(self, on_frame: OnFrame, on_audio: OnAudio | None) -> None:
        raise NotImplementedError

    def _wait_until(self, due_ns: int) -> bool:
        """Wait for the clock to reach `due_ns`; False when the source was stopped meanwhile."""
        return not self._stopping.wait(max(0, due_ns - self._clock.now_ns()) / NS_PER_S)
