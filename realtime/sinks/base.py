"""What every outgoing stream is: a thread that takes the newest pictures and sends them on, to its end.

It reads a channel of its own, so a slow receiver costs nobody else anything. Times count from the first
picture, by when samples came in through the door: the one clock that pictures and sound of all sources share.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from realtime.core.channel import Channel
from realtime.core.clock import NS_PER_S, Clock, MonotonicClock
from realtime.core.errors import ChannelClosed, ConnectionLost, MediaError, VitascopeError
from realtime.core.frame import AudioChunk
from realtime.core.pacing import Metronome
from realtime.retry import Backoff

Pixels = npt.NDArray[np.uint8]
OnEnd = Callable[[VitascopeError | None], None]

JOIN_TIMEOUT_S = 15.0
WORKED = 30
"""A connection that took more pictures than this has worked; one that fails sooner was never made."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold what is to be seen at one time."""

    pixels: Pixels
    captured_ns: int


@dataclass(frozen=True, slots=True)
class OutgoingStats:
    """Say how an outgoing stream is doing, since it began."""

    state: str
    """"starting", "running", "waiting" (for the next try), "ended" or "failed"."""
    pictures: int
    repeated: int
    """Of those, shown again since no newer one was there."""
    dropped: int
    """Pictures that a newer one replaced before they were encoded."""
    connections: int
    error: str = ""


class Target(Protocol):
    """Where the pictures go: made anew for each connection, used by one thread."""

    def picture(self, pixels: Pixels, time_s: float) -> None: ...
    def sound(self, samples: npt.NDArray[np.float32], rate_hz: int, time_s: float) -> None: ...
    def close(self) -> None:
        """Finish in order."""

    def give_up(self) -> None:
        """Let go of what is broken."""


class Outgoing:
    """Send pictures of `channel`, and sound, to what `connect(size)` makes.

    `view(item)` turns an item of the channel into a `Picture`, or None for one that is not to be seen. With
    `rate_hz` pictures go out at a constant rate, the newest repeated as needed; without, each at its time.
    With `retries` a lost connection is made again; `wait(seconds)` tells whether it was stopped meanwhile.
    """

    def __init__(
        self,
        name: str,
        channel: Channel[Any],
        connect: Callable[[tuple[int, int]], Target],
        *,
        view: Callable[[Any], Picture | None],
        sound: Channel[AudioChunk] | None = None,
        rate_hz: float | None = None,
        retries: bool = False,
        give_up_s: float = 60.0,
        hang_up: Callable[[], None] = lambda: None,
        on_notice: Callable[[str], None] = lambda sentence: None,
        on_end: OnEnd = lambda error: None,
        clock: Clock | None = None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.name = name
        self._channel = channel
        self._connect = connect
        self._view = view
        self._sound = sound
        self._rate_hz = rate_hz
        self._retries = retries
        self._give_up_s = give_up_s
        self._hang_up = hang_up
        self._on_notice = on_notice
        self._on_end = on_end
        self._clock = clock or MonotonicClock()
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._newest: Picture | None = None
        self._begin_ns: int | None = None
        self._state = "starting"
        self._pictures = self._repeated = self._connections = 0
        self._worked_ns: int | None = None
        self.error: VitascopeError | None = None
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"out-{name}", daemon=True)

    def start(self) -> None:
        """Begin on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what was begun and wait for it. Twice does no harm."""
        self._stopping.set()
        self._channel.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(JOIN_TIMEOUT_S)
            self._hang_up()
        if self._sound is not None:
            self._sound.close()

    def stats(self) -> OutgoingStats:
        """Return the figures of now."""
        return OutgoingStats(
            self._state,
            self._pictures,
            self._repeated,
            self._channel.stats().dropped,
            self._connections,
            "" if self.error is None else str(self.error),
        )

    def _run(self) -> None:
        settled = False
        try:
            self._send_all()
            settled = True
            self._state = "ended"
        except VitascopeError as error:
            settled = True
            self.error, self._state = error, "failed"
        finally:
            if not settled:  # the exception goes on to threading.excepthook, which logs it
                self.error = MediaError(f"{self.name} stopped because of a fault in the program.")
                self._state = "failed"
            self._channel.close()
            if self._sound is not None:
                self._sound.close()
            self.done.set()
            self._on_end(self.error)

    def _send_all(self) -> None:
        backoff = Backoff()
        while True:
            before = self._pictures
            try:
                self._send()
                return
            except ChannelClosed:
                return
            except MediaError as lost:
                error = lost
            if self._stopping.is_set() or self._channel.closed:
                return
            if self._pictures > before + WORKED:
                backoff.reset()
                self._worked_ns = self._clock.now_ns()
            late = (
                self._worked_ns is None or self._clock.now_ns() - self._worked_ns > self._give_up_s * NS_PER_S
            )
            if error.permanent or not self._retries or late:
                raise error
            pause_s = backoff.next_s()
            self._state = "waiting"
            self._on_notice(f"{error.message} Trying again in {pause_s:g} s.")
            if self._wait(pause_s):
                return

    def _send(self) -> None:
        """Connect once there is a picture, which tells the size, and send until the channel is closed."""
        first = self._next(None)
        height, width = first.pixels.shape[:2]
        target = self._connect((width, height))
        self._connections += 1
        self._state = "running"
        is_whole = False
        try:
            self._begin_ns = first.captured_ns if self._rate_hz is None else self._clock.now_ns()
            if self._rate_hz is None:
                self._by_stamps(target, first)
            else:
                self._by_rate(target, first, self._rate_hz)
            is_whole = True
        except OSError as error:  # FFmpeg's errors are OSErrors
            raise self.lost(error) from error
        finally:
            if is_whole:
                self._finish(target)
            else:
                target.give_up()

    def lost(self, error: OSError) -> MediaError:
        """Return the sentence for what a target raised."""
        reason = getattr(error, "strerror", None) or str(error)
        return ConnectionLost(f"{self.name} takes nothing more: {reason}.", hint="Check the other side.")

    def _finish(self, target: Target) -> None:
        try:
            target.close()
        except OSError as error:
            raise self.lost(error) from error

    def _by_stamps(self, target: Target, picture: Picture) -> None:
        while True:
            self._give(target, picture, self._since(picture.captured_ns))
            try:
                picture = self._next(None)
            except ChannelClosed:
                return

    def _by_rate(self, target: Target, picture: Picture, rate_hz: float) -> None:
        beat = Metronome(rate_hz, self._clock.now_ns())
        is_new = True
        while True:
            self._give(target, picture, self._since(self._clock.now_ns()))
            self._repeated += not is_new
            beat.beat(self._clock.now_ns())
            left_s = (beat.due_ns - self._clock.now_ns()) / NS_PER_S
            if left_s > 0 and self._stopping.wait(left_s):
                return
            try:
                newer = self._poll()
            except ChannelClosed:
                return
            picture, is_new = newer or picture, newer is not None

    def _give(self, target: Target, picture: Picture, time_s: float) -> None:
        if self._sound is not None:
            while (chunk := self._sound.poll()) is not None:
                target.sound(chunk.samples, chunk.sample_rate, self._since(chunk.stamp.captured_ns))
        target.picture(picture.pixels, time_s)
        self._pictures += 1

    def _since(self, ns: int) -> float:
        assert self._begin_ns is not None
        return (ns - self._begin_ns) / NS_PER_S

    def _next(self, timeout_s: float | None) -> Picture:
        while True:
            picture = self._view(self._channel.get(timeout_s))
            if picture is not None:
                return picture

    def _poll(self) -> Picture | None:
        item = self._channel.poll()
        if item is None and self._channel.closed:
            raise ChannelClosed(f"{self.name}: the pictures have ended.")
        return None if item is None else self._view(item)
