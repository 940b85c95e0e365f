"""The states of a session: NEW > OPENING > LIVE > DRAINING > CLOSED, or FAILED on the way."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from realtime.core.errors import SessionError


class State(Enum):
    NEW = "new"
    OPENING = "opening"
    LIVE = "live"
    DRAINING = "draining"
    CLOSED = "closed"
    FAILED = "failed"


MOVES: Mapping[State, frozenset[State]] = {
    State.NEW: frozenset({State.OPENING, State.CLOSED, State.FAILED}),
    State.OPENING: frozenset({State.LIVE, State.DRAINING, State.FAILED}),
    State.LIVE: frozenset({State.DRAINING, State.FAILED}),
    State.DRAINING: frozenset({State.CLOSED, State.FAILED}),
    State.FAILED: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
"""Which state may follow which."""


def moved(now: State, to: State) -> State:
    """Return `to`. Raises SessionError, naming both, when it may not follow `now`."""
    if to not in MOVES[now]:
        raise SessionError(f"A session that is {now.value} cannot become {to.value}.", permanent=True)
    return to
