"""How far the start has come: the painter loads in the background while page and signalling answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

from realtime.core.errors import VitascopeError

Phase = Literal["cold", "warming", "ready", "failed"]


class Warmth:
    """Hold the phase and the newest sentence about it; `tell` hears each sentence. From any thread."""

    def __init__(self, tell: Callable[[str], None] = lambda sentence: None) -> None:
        self._lock = threading.Lock()
        self._tell = tell
        self.phase: Phase = "cold"
        self.says = ""
        self.error: VitascopeError | None = None
        self.engine: dict[str, str] | None = None

    @property
    def is_warming(self) -> bool:
        return self.phase == "warming"

    def begin(self) -> None:
        with self._lock:
            self.phase, self.says = "warming", "Loading the painter."

    def report(self, sentence: str) -> None:
        """Take a sentence of a stage that opens."""
        with self._lock:
            self.says = sentence
        self._tell(sentence)

    def done(self, engine: Mapping[str, str] | None) -> None:
        with self._lock:
            self.phase, self.says = "ready", ""
            self.engine = dict(engine) if engine else None

    def failed(self, error: VitascopeError) -> None:
        with self._lock:
            self.phase, self.says, self.error = "failed", str(error), error

    def snapshot(self) -> dict[str, Any]:
        with self._lock:
            return {"phase": self.phase, "says": self.says, "engine": self.engine}
