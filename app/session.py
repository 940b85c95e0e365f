"""One user's graph and its life, whose states are in `states.py`.

A session lives on the media loop; `configure`, `snapshot` and what lanes and sources call may come from any
thread. Blocking work (opening stages, joining threads) runs in the manager's executor, never in the loop and
never in its default executor, which belongs to the encoders.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from realtime.core.clock import NS_PER_S, Clock
from realtime.core.errors import SessionError, SourceClosed, VitascopeError
from realtime.core.frame import AudioChunk, Frame
from realtime.link import Ends, Link, Role

from . import events
from .asking import MESSAGES, Asking
from .links import ENDED, Held, Links
from .logs import session_in_log
from .loop import outcome
from .outputs import Outputs
from .patience import Limits, Patience
from .peers import MakePeer, Peers
from .privacy import typed
from .sounding import SWITCH, Sounding, SoundRules, is_switch
from .states import State, moved
from .taps import Taps
from .telling import Telling
from .voice import VoiceSteering
from .wiring import Wiring

if TYPE_CHECKING:
    from realtime.sources.base import Source

log = logging.getLogger(__name__)


class Session:
    """Wire a source, a graph and links; see `states.MOVES` for its life."""

    def __init__(
        self,
        session_id: str,
        wiring: Wiring,
        *,
        make_source: Callable[[int | None], Source] | None,
        make_peer: MakePeer,
        executor: Executor,
        limits: Limits,
        clock: Clock,
        on_closed: Callable[[Session], None],
        sound: SoundRules = SoundRules(),  # noqa: B008 - frozen
    ) -> None:
        self.id = session_id
        self.state = State.NEW
        self.why = ""  # it ended; empty while it has not
        self.wiring = wiring
        self.outbox = events.Outbox()
        self.taps = Taps()
        self.outbox.on_event = self.taps.hear
        self.outputs = Outputs(session_id[:6], wiring, self.taps, clock, self.report)
        self.links = Links(session_id[:6], clock, self._follow)
        self.peers = Peers(self, make_peer)
        self.sounding = Sounding(wiring, sound, clock=clock, tell=self.outbox.put)
        self.voice = VoiceSteering(
            wiring, configure=self.configure, current=self.settings, tell=self.outbox.put
        )
        self.asking = Asking(wiring, self.outbox.put, clock)
        self.taps.listen(event=self.asking.note)
        self.closed = asyncio.Event()
        self.owner = self.visitor = ""
        """Whose it is: see visitors.py."""
        self._make_source = make_source
        self._source: Source | None = None
        self._executor = executor
        self._limits = limits
        self._clock = clock
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        now_ns = clock.now_ns()
        self._patience = Patience(limits, now_ns, now_ns, speaks=make_source is None)
        self._configuring = threading.Lock()
        self._telling: Telling | None = None
        self._told = ""  # the newest trouble that the client was told of
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    @property
    def takes_pictures(self) -> bool:
        """Whether the client's own pictures are painted."""
        return self._make_source is None

    # Life, on the loop.

    def begin(self) -> None:
        """Open the graph in the background; events tell how it goes."""
        self._move(State.OPENING)
        self._start(self._open())
        self._start(self._tend())

    def ends(self, role: Role, path: str) -> Ends:
        """Return what a new link is made of; then `join`. Raises SessionError once the session has ended."""
        self.check_running()
        return self.links.ends(
            role,
            path,
            painted=self.wiring.subscribe() if role is not Role.PUBLISH else None,
            sound=self.sounding.subscribe() if role is not Role.PUBLISH else None,
            on_frame=self.feed if self.takes_pictures else None,
            on_audio=self._put_sound if self.takes_pictures else None,
            on_sent=self.sounding.painted,
            on_message=self.hear,
            size_px=self.wiring.size_px(),
        )

    def join(self, ends: Ends, link: Link) -> None:
        """Take in the link that was made of `ends`: it hears the session's events from now on."""
        held = self.links.join(ends, link)
        if held.state not in ENDED and held.detach is None:
            held.detach = self.outbox.attach(link.send)

    async def answer(self, offer_sdp: str, role: Role = Role.MAIN, path: str = "webrtc") -> str:
        """Return the answer to a client's offer: of a link that there is, or of a new one.

        Raises UnsupportedMedia; the session survives that.
        """
        self.check_running()
        return await self.peers.answer(offer_sdp, role, path)

    async def close(self, why: str = "") -> None:
        """Finish what is in flight and let go of everything. Twice does no harm."""
        if self._closing is None:
            self.why = self.why or why
            self._closing = self._loop.create_task(self._close(), name=f"close-{self.id[:6]}")
        await asyncio.shield(self._closing)

    async def _open(self) -> None:
        with session_in_log(self.id):
            error = await outcome(self._blocking(self.wiring.open))
            if error is not None:
                self._fail(error)
                return
            if self.state is not State.OPENING:
                return
            self._move(State.LIVE)
            self.asking.begin()
            self._telling = Telling(self.wiring.tellings(), self.voice.take, self._clock)
            self.outbox.put(events.ready(self.wiring.engine()))
            self.start_source()

    async def _close(self) -> None:
        with session_in_log(self.id):
            if self.state in (State.OPENING, State.LIVE):
                self._move(State.DRAINING)
            source, self._source = self._source, None
            try:
                await self.sounding.close()
                if source is not None:
                    await self._blocking(source.stop)
                await self._blocking(lambda: self.wiring.close(self._limits.drain_timeout_s))
                if self._telling is not None:
                    await self._telling.close()
                await self._blocking(self.outputs.close)
                await asyncio.gather(*(held.link.close() for held in self.links if held.link is not None))
            finally:
                self._move(State.CLOSED)
                self.outbox.detach()
                me = asyncio.current_task()
                for task in [one for one in self._tasks if one is not me]:
                    task.cancel()
                self.closed.set()
                self._on_closed(self)

    def _fail(self, error: VitascopeError) -> None:
        if self.state in (State.FAILED, State.CLOSED, State.DRAINING):
            return
        self._move(State.FAILED)
        self.why = str(error)
        self._patience.failed_ns = self._clock.now_ns()
        self.outbox.put(events.trouble(error, permanent=True))
        source, self._source = self._source, None
        if source is not None:
            self._start(self._blocking(source.stop))

    async def _tend(self) -> None:
        """Tell the figures, and end a session that nobody uses."""
        with session_in_log(self.id):
            while True:
                await asyncio.sleep(self._limits.stats_interval_s)
                why = self.overdue(self._clock.now_ns())
                if why:
                    self.outbox.put(events.ended(why))
                    self._start(self.close(why))
                    return
                if warning := self._patience.warning(self._clock.now_ns()):
                    self.outbox.put(events.notice(warning))
                if self.state is State.LIVE:
                    self.sounding.hush()
                    self.outbox.put({"type": "stats", **self.figures()})
                    self._tell_trouble()

    def _tell_trouble(self) -> None:
        says = self.wiring.trouble()
        if says not in ("", self._told):
            self._told = says
            self.outbox.put(events.notice(says, "The log holds the details."))

    def overdue(self, now_ns: int) -> str:
        """Say why this session should end by now, or "". One that is sent on needs nobody to watch it."""
        if self.outputs.need_nobody and self.state is State.LIVE and not self.takes_pictures:
            return ""
        return self._patience.overdue(now_ns, self.links, self.why)

    # What comes in. From any thread unless said.

    def feed(self, frame: Frame) -> None:
        """Take a picture from the client; those that come before the stages are open are not kept."""
        self._patience.heard_ns = self._clock.now_ns()
        self._put(frame)

    def _put(self, frame: Frame) -> None:
        if self.state is State.LIVE:
            self.taps.frame(frame)
            self.wiring.put(frame)

    def _put_sound(self, chunk: AudioChunk) -> None:
        self.taps.audio(chunk)
        if self.state is State.LIVE:
            self.sounding.put(chunk)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take a message of the client's (on the loop): a ping, settings, "undo", or a question."""
        self._patience.heard_ns = self._clock.now_ns()
        self._patience.speaks = True
        if message.get("type") == "settings" and isinstance(message.get("settings"), dict):
            self.configure(message["settings"])
        elif message.get("type") == "undo":
            self.voice.undo()
        elif message.get("type") in MESSAGES:
            self.asking.take(message)

    def _follow(self, held: Held, state: str) -> None:
        """Take note of a link's state (on the loop)."""
        if state == "connected":
            self._patience.heard_ns = self._clock.now_ns()
            self.start_source()
            for older in self.links.replaced_by(held):
                self._start(older.close())

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Apply live settings from the next sample on. Raises ConfigError; nothing is changed then."""
        self.check_running()
        typed.note(changes)
        with self._configuring:
            wished = dict(changes)
            is_on = is_switch(wished.pop(SWITCH, self.sounding.is_on))
            self.wiring.configure(wished)
            self.sounding.switch(is_on)
            self.taps.event("settings", changes)
            size_px = self.wiring.size_px()
        self._loop.call_soon_threadsafe(self.links.resize, size_px)

    def settings(self) -> dict[str, Any]:
        """Return the current values of what can be set."""
        return {**self.wiring.settings(), SWITCH: self.sounding.is_on}

    def report(self, sentence: str) -> None:
        """Tell the client what is being prepared, or once it runs, what a stage has to say."""
        if self.state is State.OPENING:
            self.outbox.put(events.progress(sentence))
        elif self.state is State.LIVE:
            self.outbox.put(events.notice(sentence))

    def stage_trouble(self, error: VitascopeError) -> None:
        """Tell the client about an error in a stage; the lane has counted and logged it."""
        self.outbox.put(events.trouble(error))

    # Figures.

    def figures(self) -> dict[str, Any]:
        """Return what the page shows: age, rates, drops, and where the time goes."""
        figures = {**self.wiring.figures(), **self.sounding.figures(), **self.asking.figures()}
        self.links.add_figures(figures)
        engine = self.wiring.engine()
        return {**figures, "engine": engine["name"]} if engine else figures

    def snapshot(self) -> dict[str, Any]:
        """Return state, figures and the newest events."""
        return {
            "state": self.state.value,
            "why": self.why,
            "age_s": round((self._clock.now_ns() - self._patience.begun_ns) / NS_PER_S, 1),
            "settings": self.settings(),
            "engine": self.wiring.engine(),
            "figures": self.figures() if self.state is State.LIVE else None,
            "events": self.outbox.newest("progress", "notice", "error"),
        }

    # The house's own.

    def start_source(self) -> None:
        """Begin the source once there is somebody or something to show it to (on the loop)."""
        if self._make_source is None or self._source is not None or self.state is not State.LIVE:
            return
        if not self.links.was_connected and not self.outputs.need_nobody:
            return  # nobody watches yet: a file should begin at its beginning
        try:
            self._source = self._make_source(self.wiring.size_px())
        except VitascopeError as error:
            self._fail(error)
            return
        self._source.start(self._put, self._put_sound, self._source_ended)

    def _source_ended(self, error: VitascopeError | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._after_source, error)

    def _after_source(self, error: VitascopeError | None) -> None:
        if self.state is not State.LIVE or self._source is None:
            return  # we ended it
        self._source = None
        if error is not None:
            self._fail(error if isinstance(error, VitascopeError) else SourceClosed(str(error)))
            return
        self.outbox.put(events.notice("The source has come to its end.", "Start again to see it once more."))

    def check_running(self) -> None:
        """Raise SessionError once the session has ended."""
        if self.state not in (State.OPENING, State.LIVE):
            end = "failed" if self.state is State.FAILED else "ended"
            raise SessionError(f"This session has {end}.", hint=self.why or "Start a new one.")

    def _move(self, to: State) -> None:
        log.info("session %s: %s", self.id[:6], f"{self.state.value} > {to.value} {self.why}".rstrip())
        self.state = moved(self.state, to)

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _blocking(self, work: Callable[[], Any]) -> None:
        await self._loop.run_in_executor(self._executor, work)
