"""What the front remembers of a session, so that it can be made again at another worker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.incoming import NotAllowed
from realtime.core.channel import Channel
from realtime.core.errors import ConfigError, SessionError, VitascopeError

if TYPE_CHECKING:
    import httpx

KINDS: Mapping[str, type[VitascopeError]] = {"ConfigError": ConfigError, "NotAllowed": NotAllowed}


@dataclass(slots=True, eq=False)
class Record:
    """Hold what it takes to make one session again."""

    id: str
    source: dict[str, Any]
    settings: dict[str, Any]
    is_local: bool
    owner: str = ""
    """Whose it is: see app/visitors.py."""
    visitor: str = ""
    """What it counts for, of the sessions that one visitor may have."""
    journal: bool = False
    """Whether the worker writes it down for `python -m app replay`."""
    worker: str = ""
    """Where it is; "" while it has no place."""
    going: str = ""
    """Where it is being made right now."""
    before: str = ""
    """Where it was, while its client still has to come over from there."""
    moves: int = 0
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it has a place, and once it has ended."""
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    listeners: set[Channel[dict[str, Any]]] = field(default_factory=set)

    @property
    def file_id(self) -> str:
        """The uploaded file that it plays, or ""."""
        return str(self.source.get("file") or "") if self.source.get("kind") == "file" else ""

    def is_at(self, name: str) -> bool:
        """Tell whether it takes a place at worker `name`."""
        return name in (self.worker, self.going)

    def tell(self, event: dict[str, Any]) -> None:
        """Tell whoever listens at the front."""
        for one in self.listeners:
            one.put(event)


class Refused(VitascopeError):
    """Hold what a worker answered in place of doing what was asked, to be passed on as it is."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"The worker refused with status {answer.status_code}.")
        self.answer = answer

    def as_error(self) -> VitascopeError:
        """Return the error that the worker told of."""
        try:
            said = self.answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            return SessionError(self.message)
        return KINDS.get(said["kind"], SessionError)(said["message"], hint=said["hint"])
