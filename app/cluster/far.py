"""The page's way to sessions that live in workers: what `app.port.Port` asks, asked of the desk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from realtime.core.errors import SessionError

from .record import Refused

if TYPE_CHECKING:
    from .desk import Desk

CONFIGURE_S = 10.0


class FarWarmth:
    """Say how far the workers' painter has come: the first that is ready speaks for all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def engine(self) -> dict[str, str] | None:
        found = next((one.load.engine for one in self._desk.keeper.views() if one.load.engine), None)
        return {"name": found[0], "why": found[1]} if found else None

    @property
    def says(self) -> str:
        open_ones = [one for one in self._desk.keeper.views() if one.is_open]
        return "" if open_ones else "The workers start."


class FarSessions:
    """Satisfy `app.port.Sessions` from Gradio's worker threads, while the desk lives on `loop`."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.settings = desk.settings
        self.registry = desk.registry
        self.warmth = FarWarmth(desk)

    def configure(self, session_id: str, changes: Mapping[str, Any]) -> None:
        """Apply live settings to a session, from any thread but the loop's own."""
        work = asyncio.run_coroutine_threadsafe(self._desk.configure(session_id, changes), self.loop)
        try:
            work.result(CONFIGURE_S)
        except Refused as error:
            raise error.as_error() from error
        except TimeoutError as error:
            work.cancel()
            raise SessionError("The session's worker does not answer.", hint="Try again.") from error
