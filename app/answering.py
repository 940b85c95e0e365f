"""Offers of WebRTC clients, answered one at a time: by the peer that an offer belongs to, or by a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime.core.errors import VitascopeError
from realtime.link import Ends, Role

if TYPE_CHECKING:
    from realtime.webrtc.peer import Peer

    from .session import Session


class Answering:
    """Hold the peers that one session's offers made. On the media loop."""

    def __init__(self, make_peer: Callable[[Ends, str], Peer]) -> None:
        self._make_peer = make_peer
        self._peers: list[Peer] = []
        self._turn = asyncio.Lock()

    async def answer(self, session: Session, offer_sdp: str, role: Role, path: str) -> str:
        """Return the answer to an offer: of a link that there is, or of a new one."""
        async with self._turn:
            self._peers = [peer for peer in self._peers if peer.state != "closed"]
            for peer in self._peers:
                if peer.path == path and peer.knows(offer_sdp):
                    return await peer.answer(offer_sdp)
            peer, answer = await self.answered(session, offer_sdp, role, path)
            self._peers.append(peer)
            return answer

    async def answered(self, session: Session, offer_sdp: str, role: Role, path: str) -> tuple[Peer, str]:
        """Return a new peer that has joined `session`, and its answer."""
        ends = session.ends(role, path)
        try:
            peer = self._make_peer(ends, path)
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
