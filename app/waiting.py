"""The waiting room: who found all places taken gets a ticket, and places are given in the order of tickets.

Whoever holds one asks now and then how far it has come; who stops asking has gone, and the ticket with him.
When a place is free, the first ticket's turn lasts a while and the place is kept for it. Nobody who comes
later gets in before those who wait.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from realtime.core.clock import NS_PER_S, Clock

ASK_AGAIN_S = 2
SILENT_S = 70.0
"""A ticket that nobody has asked about for so long is void. Browsers let a page in the background ask once a
minute."""


@dataclass(slots=True)
class Ticket:
    """Hold one visitor's turn."""

    id: str
    visitor: str
    """What its holder's sessions are counted under."""
    owner: str
    """Its holder's key, "" for a program without a cookie."""
    asked_ns: int
    called_ns: int | None = None
    """When its turn began; None while it waits."""


@dataclass(frozen=True, slots=True)
class Place:
    """Say how far a ticket has come."""

    ticket: str
    place: int
    """1 is next."""
    of: int
    is_turn: bool
    turn_ends_s: float | None
    """How long the place is kept, from now."""


class WaitingRoom:
    """Keep the queue. `free` is the number of places that no session has."""

    def __init__(
        self,
        *,
        room: int,
        turn_s: float,
        clock: Clock,
        make_id: Callable[[], str] = lambda: secrets.token_urlsafe(18),
    ) -> None:
        self._room = room
        self._turn_s = turn_s
        self._clock = clock
        self._make_id = make_id
        self._queue: list[Ticket] = []

    def __len__(self) -> int:
        return len(self._queue)

    def count(self, visitor: str, *, without: str = "") -> int:
        """Count the tickets of a visitor, but not the ticket `without`."""
        return sum(one.visitor == visitor and one.id != without for one in self._queue)

    def find(self, ticket_id: str, free: int) -> Ticket | None:
        """Return a ticket that is still good."""
        self._tidy(free)
        return next((one for one in self._queue if one.id == ticket_id), None)

    def admits(self, ticket_id: str, free: int) -> bool:
        """Tell whether the holder of a ticket, or who has none (""), may have a place now."""
        self._tidy(free)
        at = next((i for i, one in enumerate(self._queue) if one.id == ticket_id), len(self._queue))
        return at < free

    def enter(self, visitor: str, owner: str, free: int) -> Ticket | None:
        """Give a new ticket; None when the room is full."""
        self._tidy(free)
        if len(self._queue) >= self._room:
            return None
        ticket = Ticket(self._make_id(), visitor, owner, self._clock.now_ns())
        self._queue.append(ticket)
        self._tidy(free)
        return ticket

    def look(self, ticket: Ticket) -> Place:
        """Say how far a ticket has come; its holder is there."""
        now_ns = ticket.asked_ns = self._clock.now_ns()
        ends_s = None
        if ticket.called_ns is not None:
            ends_s = round(self._turn_s - (now_ns - ticket.called_ns) / NS_PER_S, 1)
        return Place(ticket.id, self._queue.index(ticket) + 1, len(self._queue), ends_s is not None, ends_s)

    def leave(self, ticket_id: str) -> None:
        """Take a ticket back, if there is such a one."""
        self._queue = [one for one in self._queue if one.id != ticket_id]

    def _tidy(self, free: int) -> None:
        """Drop void tickets and call the first `free` ones."""
        now_ns = self._clock.now_ns()
        self._queue = [one for one in self._queue if not self._is_void(one, now_ns)]
        for at, one in enumerate(self._queue):
            if at >= free:
                one.called_ns = None
            elif one.called_ns is None:
                one.called_ns = now_ns

    def _is_void(self, ticket: Ticket, now_ns: int) -> bool:
        if now_ns - ticket.asked_ns > SILENT_S * NS_PER_S:
            return True
        return ticket.called_ns is not None and now_ns - ticket.called_ns > self._turn_s * NS_PER_S
