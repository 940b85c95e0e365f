"""All sessions of this process: they share lanes and engines, and there is a limit to their number."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from realtime.core.clock import Clock, MonotonicClock
from realtime.core.errors import SessionError, VitascopeError
from realtime.core.stage import StageContext

from . import events
from .bodies import AnySource
from .captions import Captions
from .files import Uploads
from .ice import IceWays
from .incoming import NotAllowed, Sources
from .loop import outcome
from .patience import Limits
from .privacy import typed
from .recording import Recordings
from .registry import Registry
from .session import Session
from .settings import Settings
from .sounding import SWITCH, SoundRules, is_switch
from .states import State
from .steering import by_node, guarded
from .visitors import HOUSE, asking, may
from .waiting import WaitingRoom
from .warmth import Warmth
from .wiring import House, Wiring

if TYPE_CHECKING:
    from realtime.link import Ends
    from realtime.webrtc.peer import Peer

log = logging.getLogger(__name__)

ENDED_REMEMBERED = 256


class SessionsFull(SessionError):
    """Report that as many sessions run as may."""


class TooManySessions(SessionError):
    """Report that one visitor has as many sessions as one may have."""


class SessionUnknown(SessionError):
    """Report an id that no running session has, or that of somebody else's."""


class SessionManager:
    """Make, find and end sessions. Its coroutines belong to the media loop; `configure` to any thread."""

    def __init__(
        self, settings: Settings, registry: Registry | None = None, *, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.registry = registry or Registry()
        self.clock: Clock = clock or MonotonicClock()
        self._executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="session")
        self.house = House(self.clock)
        server = settings.server
        self.uploads = Uploads(
            max_bytes=server.max_upload_mb << 20,
            keep_s=server.upload_keep_s,
            max_px=server.max_input_px,
            executor=self._executor,
            clock=self.clock,
        )
        self.ice = IceWays(server)
        self._sources = Sources(settings.source, self.uploads, self.clock)
        self.recordings = Recordings(settings.recording, self.clock)
        self.captions = Captions(self.clock, settings.recording.keep_s)
        self.warmth = Warmth(self._warm_report)
        self._limits = Limits(
            connect_timeout_s=server.connect_timeout_s,
            idle_timeout_s=server.idle_timeout_s,
            resume_timeout_s=server.resume_timeout_s,
            stats_interval_s=server.stats_interval_s,
            drain_timeout_s=server.drain_timeout_s,
            session_limit_s=server.session_limit_s,
        )
        self.waiting = WaitingRoom(room=server.max_waiting, turn_s=server.turn_s, clock=self.clock)
        self._sessions: dict[str, Session] = {}
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self._warming: asyncio.Task[None] | None = None
        self.created = 0

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def free(self) -> int:
        """Places that no session has; some may be kept for those who wait."""
        return max(0, self.settings.server.max_sessions - len(self._sessions))

    @property
    def sessions(self) -> tuple[Session, ...]:
        with self._lock:
            return tuple(self._sessions.values())

    async def create(
        self,
        source: AnySource,
        changes: Mapping[str, Any] | None = None,
        *,
        is_local: bool = False,
        ticket: str = "",
        keep_journal: bool = False,
        session_id: str = "",
    ) -> Session:
        """Make a session and begin to open it, under a new id unless one is given; it belongs to who asks.

        Raises SessionsFull, TooManySessions, NotAllowed or AddressRefused (this machine's camera, files or
        network asked for from elsewhere) or ConfigError (wrong settings).
        """
        if not is_local:
            self._check_visitor(ticket)
        if not self.waiting.admits(ticket, self.free):
            raise SessionsFull(
                f"All {self.settings.server.max_sessions} places are taken.",
                hint="Close another page, or try again in a minute.",
            )
        if not is_local:
            self._check_models(changes or {})
        typed.note(changes or {})
        server, wished = self.settings.server, dict(changes or {})
        sound = SoundRules(is_switch(wished.pop(SWITCH, server.sound)), server.max_sound_delay_ms)
        session_id = session_id or secrets.token_urlsafe(18)
        if session_id in self._sessions:
            raise SessionError("There is such a session already.", hint="Offer to it.")
        made: list[Session] = []  # the stages speak to a session that is made after them

        def report(sentence: str) -> None:
            for one in made:
                one.report(sentence)

        def trouble(error: VitascopeError) -> None:
            for one in made:
                one.stage_trouble(error)

        context = StageContext(session_id[:6], self.clock, self.house.shared, report, is_live=True)
        journal = (
            self.recordings.journal(session_id, self.settings, report, is_local) if keep_journal else None
        )
        wiring = Wiring(
            self.settings,
            self.registry,
            self.house,
            context,
            wrap=journal.wrap if journal is not None else _as_it_is,
            changes=wished,
            on_error=trouble,
            is_guest=not is_local,
        )
        make_source, let_go = self._sources.make(source, report, is_local=is_local)
        session = Session(
            session_id,
            wiring,
            make_source=make_source,
            make_peer=self._peer,
            executor=self._executor,
            limits=self._limits,
            clock=self.clock,
            on_closed=lambda one: self._forget(one, let_go),
            sound=sound,
        )
        made.append(session)
        session.owner, session.visitor = asking().key, asking().name
        self.captions.follow(session)
        self.waiting.leave(ticket)
        if journal is not None:
            session.taps.listen(frame=journal.came_in)
            session.outputs.at_end(lambda: self.recordings.adopt(session_id, journal.close(), session.owner))
        with self._lock:
            self._sessions[session_id] = session
        self.created += 1
        session.begin()
        if self.warmth.is_warming:
            session.report(self.warmth.says)
        return session

    def get(self, session_id: str) -> Session:
        """Return a running session of the one who asks. Raises SessionUnknown, with the reason of an end."""
        with self._lock:
            session = self._sessions.get(session_id)
            why = self._ended.get(session_id, "")
        if session is None or not may(session.owner):
            said = (
                f"That session has ended. {why}" if session_id in self._ended else "There is no such session."
            )
            raise SessionUnknown(said.strip(), hint="Start a new one.", permanent=True)
        return session

    def why(self, session_id: str) -> str:
        """Say why a session has ended; "" for one that runs, or was never there."""
        with self._lock:
            return self._ended.get(session_id, "")

    def stage_ms_p95(self) -> float:
        """Return the work on a picture (p95) of the slowest stage of all sessions; 0 when none runs."""
        live = [session for session in self.sessions if session.state is State.LIVE]
        return max((one.work_ms_p95 for s in live for one in s.wiring.snapshot().values()), default=0.0)

    def configure(self, session_id: str, changes: Mapping[str, Any]) -> None:
        """Apply live settings to a session, from any thread."""
        self.get(session_id).configure(changes)

    async def close(self, session_id: str, why: str = "It was closed.") -> None:
        """End a session and wait for it."""
        await self.get(session_id).close(why)

    async def close_all(self, why: str = "The server stops.") -> None:
        """End everything: sessions, warming, uploads, lanes, engines. The manager is of no use afterwards."""
        if self._warming is not None:
            self._warming.cancel()
        for session in self.sessions:
            session.outbox.put(events.notice(why))
        await asyncio.gather(*(session.close(why) for session in self.sessions), return_exceptions=True)
        self.uploads.close()
        self.recordings.close()
        await asyncio.get_running_loop().run_in_executor(self._executor, self.house.close)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def warm(self) -> None:
        """Begin to open the graph once, with nobody watching, so that the first session finds its engines."""
        if self._warming is None:
            self._warming = asyncio.get_running_loop().create_task(self._warm(), name="warm")

    async def _warm(self) -> None:
        self.warmth.begin()
        context = StageContext(
            session="warm",
            clock=self.clock,
            shared=self.house.shared,
            report=self.warmth.report,
            is_live=True,
        )
        error = await outcome(self._open_once(context))
        if error is not None:
            log.warning("warming failed: %s", error)
            self.warmth.failed(error)

    async def _open_once(self, context: StageContext) -> None:
        loop = asyncio.get_running_loop()
        wiring = Wiring(self.settings, self.registry, self.house, context)
        try:
            await loop.run_in_executor(self._executor, wiring.open)
            await loop.run_in_executor(self._executor, wiring.try_out)
            self.warmth.done(wiring.engine())
        finally:
            await loop.run_in_executor(self._executor, wiring.close)

    def _warm_report(self, sentence: str) -> None:
        for session in self.sessions:
            if session.state is State.OPENING:
                session.report(sentence)

    def _forget(self, session: Session, let_go: Callable[[], None]) -> None:
        with self._lock:
            self._sessions.pop(session.id, None)
            self._ended[session.id] = session.why
            while len(self._ended) > ENDED_REMEMBERED:
                self._ended.popitem(last=False)
        self.captions.ended(session.id)
        let_go()

    def _check_visitor(self, ticket: str) -> None:
        if asking() is HOUSE:
            return
        name, most = asking().name, self.settings.server.max_sessions_per_visitor
        with self._lock:
            count = sum(session.visitor == name for session in self._sessions.values())
        if count + self.waiting.count(name, without=ticket) >= most:
            raise TooManySessions(
                f"You have {most} session{'s' * (most > 1)} already.",
                hint="Close another page, or wait a minute until it has ended.",
            )

    def _check_models(self, changes: Mapping[str, Any]) -> None:
        """Raise NotAllowed for another model or file than the server's: its name can be any path here."""
        graph = self.settings.graph
        wished = by_node(graph, changes)
        for node, keys in guarded(self.registry, graph).items():
            config = self.settings.stage(graph.nodes[node].stage)
            for key, what in keys.items():
                own = getattr(config, key)
                if wished.get(node, {}).get(key, own) != own:
                    raise NotAllowed(
                        f"Only someone at the server's own machine may choose another {what}.",
                        hint=f"Leave {key} as it is.",
                    )

    def _peer(self, ends: Ends, path: str) -> Peer:
        from realtime.webrtc import encoding
        from realtime.webrtc.peer import Peer

        server = self.settings.server
        encoding.wish_for(server.video_encoder)
        return Peer(
            ends,
            path=path,
            codec=server.video_codec,
            ice=self.ice.own(),
            connect_timeout_s=server.connect_timeout_s,
            most_bits_s=server.video_bits_s,
            max_px=server.max_input_px,
        )


def _as_it_is(node: str, stage: Any) -> Any:
    return stage
