"""Named streams: who publishes them by WHIP, who watches them by WHEP, and which session paints them.

A name is public and stands for a session; a session's id and a resource's id are secrets. A session that
the page made can be reached as well, by its id. All methods belong to the media loop.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from realtime.core.errors import ConfigError, SessionError, UnsupportedMedia, VitascopeError
from realtime.link import Role

from .bodies import FromClient
from .links import ENDED
from .manager import SessionManager, SessionsFull, SessionUnknown
from .session import Session
from .states import State

if TYPE_CHECKING:
    from realtime.webrtc.peer import Peer

Kind = Literal["whip", "whep"]

TAKEN_S = 3.0
"""A publisher that was heard within this time keeps its stream."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class StreamTaken(SessionError):
    """Report that somebody else publishes a stream right now."""


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """Hold one WHIP or WHEP session: what its client may trickle to, and end."""

    id: str
    kind: Kind
    name: str
    session: Session
    link: Peer
    etag: str
    """Names the ICE session; it never changes, since ICE cannot be restarted."""

    @property
    def is_live(self) -> bool:
        return self.link.state not in ENDED


def check_name(name: str) -> str:
    """Return a stream's name that may stand in a URL."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f'The stream name "{name[:80]}" cannot be used.',
            hint="Use at most 64 letters, digits, dots, dashes and underscores.",
        )
    return name


def directions(sdp: str) -> list[tuple[str, str]]:
    """Return (kind, direction) of each media section; without a word it is both ways (RFC 8866, 6.7)."""
    found: list[tuple[str, str]] = []
    session = "sendrecv"
    for line in sdp.splitlines():
        if line.startswith("m="):
            found.append((line[2:].split(" ")[0], session))
        elif line in ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"):
            if found:
                found[-1] = (found[-1][0], line[2:])
            else:
                session = line[2:]
    return found


def check_direction(sdp: str, kind: Kind) -> None:
    """Refuse what a publisher or a player must not offer (RFC 9725, 4.2; WHEP draft, 4.2.5)."""
    wanted = ("sendonly", "sendrecv") if kind == "whip" else ("recvonly", "sendrecv")
    video = [direction for what, direction in directions(sdp) if what == "video"]
    if len(video) != 1:
        raise UnsupportedMedia(f"The offer has {len(video)} videos.", hint="Offer exactly one.")
    if video[0] not in wanted:
        raise UnsupportedMedia(f"The offer's video is {video[0]}.", hint=f"Here it must be {wanted[0]}.")


class Streams:
    """Hold all named streams of a server."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._max_viewers = manager.settings.server.max_viewers
        self._named: dict[str, Session] = {}
        self._resources: dict[str, Resource] = {}

    def names(self) -> list[str]:
        """Return the names of the streams that run, the oldest first."""
        self._prune()
        return list(self._named)

    def find(self, name: str) -> Session:
        """Return the session that paints a stream. Raises SessionUnknown."""
        self._prune()
        if name in self._named:
            return self._named[name]
        try:
            return self._manager.get(name)
        except SessionUnknown:
            hint = "Publish it first, by WHIP to the same name."
            raise SessionUnknown(f'There is no stream "{name[:80]}".', hint=hint) from None

    def only(self) -> str:
        """Return the name of the stream when there is one only. Raises SessionUnknown."""
        names = self.names()
        if len(names) != 1:
            said = "Nobody publishes a stream." if not names else f"There are {len(names)} streams."
            raise SessionUnknown(said, hint="Name the stream: /whep/NAME.")
        return names[0]

    def resource(self, kind: Kind, name: str, resource_id: str) -> Resource:
        """Return a resource that lives. Raises SessionUnknown."""
        self._prune()
        found = self._resources.get(resource_id)
        if found is None or (found.kind, found.name) != (kind, name):
            raise SessionUnknown("There is no such resource, or it has ended.", hint="Offer anew.")
        return found

    async def publish(self, name: str, offer_sdp: str) -> tuple[Resource, str]:
        """Take a publisher's offer; an empty name makes a new one.

        Raises SessionsFull, StreamTaken, SessionError for a session that paints another source, and
        UnsupportedMedia.
        """
        check_direction(offer_sdp, "whip")
        name = check_name(name) if name else secrets.token_urlsafe(6)
        try:
            session, is_new = self.find(name), False
        except SessionUnknown:
            session, is_new = await self._manager.create(FromClient()), True
            self._named[name] = session
        if not session.takes_pictures:
            raise SessionError("That session paints another source.", hint="Publish under another name.")
        for other in self._of(session, "whip"):
            if other.link.state == "connected" and other.link.silent_s < TAKEN_S:
                raise StreamTaken(
                    f'Somebody publishes "{name}" already.', hint="Take another name, or wait for its end."
                )
        try:
            return await self._add("whip", name, session, offer_sdp)
        except VitascopeError:
            if is_new:
                await session.close("Its publisher could not connect.")
            raise

    async def view(self, name: str, offer_sdp: str) -> tuple[Resource, str]:
        """Take a player's offer; an empty name is the only stream. Raises as `publish` does."""
        check_direction(offer_sdp, "whep")
        name = check_name(name) if name else self.only()
        session = self.find(name)
        if sum(held.role is Role.VIEW for held in session.links) >= self._max_viewers:
            raise SessionsFull(f"All {self._max_viewers} seats are taken.", hint="Try again in a minute.")
        return await self._add("whep", name, session, offer_sdp)

    async def end(self, resource: Resource) -> None:
        """End a resource. A stream that nobody publishes nor watches any more ends with it."""
        self._resources.pop(resource.id, None)
        await resource.link.close()
        session = resource.session
        is_ours = self._named.get(resource.name) is session
        if is_ours and resource.kind == "whip" and not tuple(session.links):
            await session.close("Its publisher has stopped.")

    async def _add(self, kind: Kind, name: str, session: Session, offer_sdp: str) -> tuple[Resource, str]:
        role = Role.PUBLISH if kind == "whip" else Role.VIEW
        link, answer = await session.peers.connect(offer_sdp, role, kind)
        one = Resource(secrets.token_urlsafe(18), kind, name, session, link, f'"{secrets.token_hex(4)}"')
        self._resources[one.id] = one
        return one, answer

    def _of(self, session: Session, kind: Kind) -> Iterator[Resource]:
        return (one for one in self._resources.values() if one.session is session and one.kind == kind)

    def _prune(self) -> None:
        self._resources = {key: one for key, one in self._resources.items() if one.is_live}
        self._named = {
            name: one for name, one in self._named.items() if one.state in (State.OPENING, State.LIVE)
        }
