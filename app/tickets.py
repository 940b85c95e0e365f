"""The routes of the waiting room: a ticket instead of a session, and how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from .bodies import CreateBody
from .manager import SessionManager, SessionsFull, SessionUnknown
from .visitors import asking, may
from .waiting import ASK_AGAIN_S, Place, Ticket

if TYPE_CHECKING:
    from .loop import MediaLoop
    from .session import Session


class TicketUnknown(SessionUnknown):
    """Report a ticket that is void, or somebody else's."""


async def session_or_place(manager: SessionManager, body: CreateBody, *, is_local: bool) -> Session | Place:
    """Make a session, or give a place in the queue for one (on the media loop).

    Raises what `manager.create` raises; SessionsFull once the waiting room is full, too.
    """
    try:
        return await manager.create(
            body.source, body.settings, is_local=is_local, ticket=body.ticket, keep_journal=body.journal
        )
    except SessionsFull:
        ticket = _mine(manager, body.ticket)
        if ticket is None:
            ticket = manager.waiting.enter(asking().name, asking().key, manager.free)
        if ticket is None:
            raise
        return manager.waiting.look(ticket)


def told(place: Place) -> JSONResponse:
    """Answer with a place: 202, since the session itself is still to come."""
    return JSONResponse(_body(place), 202, {"Retry-After": str(ASK_AGAIN_S)})


def add_tickets(app: FastAPI, manager: SessionManager, loop: MediaLoop) -> None:
    """Add the routes."""

    @app.get("/api/tickets/{ticket}")
    async def look(ticket: str) -> dict[str, Any]:
        """Say how far a ticket has come. Ask every `retry_after_s`: one that is not asked about is void."""
        return _body(await loop.do(_look(manager, ticket)))

    @app.post("/api/tickets/{ticket}/close", status_code=204)
    async def leave(ticket: str) -> Response:
        """Give a ticket back: what a page sends as it goes away. An unknown one is no error."""
        await loop.do(_leave(manager, ticket))
        return Response(status_code=204)


async def _look(manager: SessionManager, ticket_id: str) -> Place:
    ticket = _mine(manager, ticket_id)
    if ticket is None:
        raise TicketUnknown("That place in the queue was given up.", hint="Start again.", permanent=True)
    return manager.waiting.look(ticket)


async def _leave(manager: SessionManager, ticket_id: str) -> None:
    if _mine(manager, ticket_id) is not None:
        manager.waiting.leave(ticket_id)


def _mine(manager: SessionManager, ticket_id: str) -> Ticket | None:
    ticket = manager.waiting.find(ticket_id, manager.free)
    return ticket if ticket is not None and may(ticket.owner) else None


def _body(place: Place) -> dict[str, Any]:
    body: dict[str, Any] = {
        "ticket": place.ticket,
        "place": place.place,
        "of": place.of,
        "is_turn": place.is_turn,
        "retry_after_s": ASK_AGAIN_S,
    }
    return body if place.turn_ends_s is None else {**body, "turn_ends_s": place.turn_ends_s}
