"""What runs through a session, for those who listen along: pictures as they came in, sound, and what happens.

A listener is called on the thread of who brings the sample and must not block: it puts into its own channel.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from realtime.core.frame import AudioChunk, Frame, Result, Stamp

View = Literal["painted", "original", "both"]
RECORDED = ("notice", "error", "result", "seen", "motion", "heard", "command", "answer", "alert", "wish")
"""Types of a session's events that belong into its record."""
FINAL = "end"
"""Of what is said, the turn that belongs there: the final words."""
ORIGINALS_HELD = 32
"""Pictures on their way through the graph whose originals are kept for "original" and "both"."""


class Taps:
    """Hand samples of one session to listeners. All methods from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: tuple[Callable[[Frame], object], ...] = ()
        self._sound: tuple[Callable[[AudioChunk], object], ...] = ()
        self._events: tuple[Callable[[str, Mapping[str, Any]], object], ...] = ()

    def frame(self, frame: Frame) -> None:
        """Tell of a picture on its way in."""
        for listener in self._frames:
            listener(frame)

    def audio(self, chunk: AudioChunk) -> None:
        """Tell of sound."""
        for listener in self._sound:
            listener(chunk)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Tell of what the client is told, as far as it belongs into a record."""
        if event["type"] in RECORDED and event.get("turn", FINAL) == FINAL and event.get("final", True):
            self.event(event["type"], event)

    def event(self, kind: str, what: Mapping[str, Any]) -> None:
        """Tell of a changed setting, a notice, or a trouble."""
        for listener in self._events:
            listener(kind, what)

    def listen(
        self,
        *,
        frame: Callable[[Frame], object] | None = None,
        audio: Callable[[AudioChunk], object] | None = None,
        event: Callable[[str, Mapping[str, Any]], object] | None = None,
    ) -> Callable[[], None]:
        """Call these from now on; the answer ends it."""
        with self._lock:
            self._frames += (frame,) if frame else ()
            self._sound += (audio,) if audio else ()
            self._events += (event,) if event else ()

        def end() -> None:
            with self._lock:
                self._frames = tuple(one for one in self._frames if one is not frame)
                self._sound = tuple(one for one in self._sound if one is not audio)
                self._events = tuple(one for one in self._events if one is not event)

        return end


class Viewer:
    """Choose what is seen: the painting, its original, or both side by side."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._originals: OrderedDict[Stamp, Frame] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def wants_originals(self) -> bool:
        return self._view != "painted"

    def note(self, frame: Frame) -> None:
        """Keep a picture that goes in."""
        with self._lock:
            self._originals[frame.stamp] = frame
            while len(self._originals) > ORIGINALS_HELD:
                self._originals.popitem(last=False)

    def pixels(self, result: Result[Any]) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        """Return what to show of a result (H, W, 3); None when there is nothing to show."""
        painted = result.value
        if not isinstance(painted, Frame):
            return None
        if self._view == "painted":
            return painted.pixels
        with self._lock:
            original = self._originals.get(result.stamp)
        if original is None:
            return None
        if self._view == "original":
            return original.pixels
        from realtime.media import fit

        left = fit(original.pixels, painted.width_px, painted.height_px)
        return np.concatenate([left, painted.pixels], axis=1)
