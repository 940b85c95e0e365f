"""What a session tells the page over the data channel (ui/port.py lists it), and where it waits till then."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from realtime.core.errors import VitascopeError

Event = dict[str, Any]

KEPT_UNTIL_HEARD = 16
MOMENTARY = ("stats", "seen", "motion")
GROWING = "update"
"""Turn of an utterance whose text is still growing, see `perception.asr.transcript`."""


def progress(message: str, fraction: float | None = None) -> Event:
    """Say what is being prepared, and how far it is (0..1) where that is known."""
    event: Event = {"type": "progress", "message": message}
    return event if fraction is None else {**event, "fraction": round(fraction, 3)}


def ready(engine: Mapping[str, str] | None) -> Event:
    """Say that pictures come from now on, and what paints them."""
    return {"type": "ready", "engine": dict(engine)} if engine else {"type": "ready"}


def notice(message: str, hint: str = "") -> Event:
    """Say something worth a line under the picture."""
    return {"type": "notice", "message": message, "hint": hint}


def trouble(error: VitascopeError, *, permanent: bool | None = None) -> Event:
    """Tell an error: over the picture if it is permanent."""
    return {
        "type": "error",
        "message": error.message,
        "hint": error.hint,
        "kind": type(error).__name__,
        "permanent": error.permanent if permanent is None else permanent,
    }


def ended(why: str) -> Event:
    """Say that the session is over, and why."""
    return {
        "type": "error",
        "message": why,
        "hint": "Start again.",
        "kind": "SessionEnded",
        "permanent": True,
    }


def is_momentary(event: Event) -> bool:
    """Tell whether an event holds for a moment only, and the next one takes its place."""
    return event["type"] in MOMENTARY or event.get("turn") == GROWING or event.get("final") is False


class Outbox:
    """Hand events to all who listen; until somebody does, the newest 16 wait. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Event] = deque(maxlen=KEPT_UNTIL_HEARD)
        self._listeners: list[Callable[[Event], object]] = []
        self.on_event: Callable[[Event], object] = lambda event: None
        """Hears every event, and is nobody whom events wait for."""
        self.last: dict[str, Event] = {}
        """The newest event of each type, for those who ask over HTTP."""

    def put(self, event: Event) -> None:
        """Send `event`, or keep it until `attach`. What holds for a moment is never kept."""
        with self._lock:
            self.last[event["type"]] = event
            listeners = tuple(self._listeners)
            if not listeners and not is_momentary(event):
                self._waiting.append(event)
        self.on_event(event)
        for send in listeners:
            send(event)

    def attach(self, send: Callable[[Event], object]) -> Callable[[], None]:
        """Send what waits, and from now on everything, to `send`; return what ends that.

        Who comes later, or comes back, is told first that the session is ready, if it is.
        """
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
            self._listeners.append(send)
            ready = self.last.get("ready")
        if ready is not None and ready not in waiting:
            waiting.insert(0, ready)
        for event in waiting:
            send(event)

        def detach() -> None:
            with self._lock:
                if send in self._listeners:
                    self._listeners.remove(send)

        return detach

    def newest(self, *kinds: str) -> list[Event]:
        """Return the newest event of each of these types that there was."""
        return [self.last[kind] for kind in kinds if kind in self.last]

    def detach(self) -> None:
        """Let everybody go and keep events again."""
        with self._lock:
            self._listeners.clear()
