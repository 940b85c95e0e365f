"""The WebRTC links of one session: which offer is of which link, and the making of new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime.core.errors import VitascopeError
from realtime.link import Ends, Role

if TYPE_CHECKING:
    from realtime.webrtc.peer import Peer

    from .session import Session

MakePeer = Callable[[Ends, str], "Peer"]


class Peers:
    """Answer a session's offers, one at a time. On the media loop."""

    def __init__(self, session: Session, make: MakePeer) -> None:
        self._session = session
        self._make = make
        self._peers: list[Peer] = []
        self._answering = asyncio.Lock()

    async def answer(self, offer_sdp: str, role: Role, path: str) -> str:
        """Return the answer of the link that an offer is of, or of a new one. Raises UnsupportedMedia."""
        async with self._answering:
            self._peers = [peer for peer in self._peers if peer.state != "closed"]
            for peer in self._peers:
                if peer.path == path and peer.knows(offer_sdp):
                    return await peer.answer(offer_sdp)
            peer, answer = await self.connect(offer_sdp, role, path)
            self._peers.append(peer)
            return answer

    async def connect(self, offer_sdp: str, role: Role, path: str) -> tuple[Peer, str]:
        """Return a new link and its answer. Raises UnsupportedMedia; SessionError once the session ends."""
        session = self._session
        ends = session.ends(role, path)
        try:
            peer = self._make(ends, path)
            try:
                answer = await peer.answer(offer_sdp)
                session.check_running()  # it may have ended while the peers talked
            except VitascopeError:
                await peer.close()
                raise
        except BaseException:
            session.links.forget(ends)
            raise
        session.join(ends, peer)
        return peer, answer
