"""A link over one WebSocket: the seam of `realtime.link` where only HTTP passes.

It lives on the loop that awaits `run`; codec work has threads of its own. A `Socket` is all it knows of the
server: tests give it one end of a pair in memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.errors import ChannelClosed, ConfigError, ConnectionLost, VitascopeError
from realtime.link import Ends, LinkStats
from realtime.media import Intake
from realtime.messages import error_event, parse_message

from .intake import PicturesIn, SoundIn
from .pace import Bounds, Pace
from .sending import Sender
from .socket import Socket, SocketClosed
from .wire import GOING_AWAY, POLICY, TOO_BIG, UNSUPPORTED, Codec, Kind, Packet, WireError, pack, unpack

log = logging.getLogger(__name__)

BEAT_S = 1.0
SILENT_S = 5.0
"""A side that says nothing for so long is gone; each answers the other's ping within a round trip."""
GREETING_S = 10.0
"""The first words must come within this time."""
CLOSE_S = 2.0
MOST_PER_S = 1000
"""Messages of one client; pictures, sound and acknowledgements at their fastest are a quarter of this."""

CODECS = {"h264": Codec.H264, "jpeg": Codec.JPEG}


@dataclass(frozen=True, slots=True)
class _End:
    code: int
    reason: str
    state: str


class SocketLink:
    """Serve one client over `socket`. `run` does all the work, until either side ends it."""

    path = "websocket"

    def __init__(self, socket: Socket, ends: Ends, *, bounds: Bounds | None = None) -> None:
        self.state = "new"
        self.codec = Codec.NONE
        self.out = Sender(socket, ends.name, ends.clock, Pace(bounds), ends.on_sent)
        self._socket = socket
        self._ends = ends
        self._clock = ends.clock
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._greeted = asyncio.Event()
        self._ended: asyncio.Future[_End] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._heard_ns = self._begun_ns = self._clock.now_ns()
        self._refused = 0
        self._pictures: PicturesIn | None = None
        self._sound: SoundIn | None = None

    # From any thread.

    def send(self, event: dict[str, Any]) -> None:
        """Send an event, from any thread; the oldest of 256 that wait is dropped."""
        text = json.dumps(event, separators=(",", ":"))
        self._on_loop(lambda: self.out.post(text))

    def resize(self, size_px: int | None) -> None:
        """Cut incoming pictures to another size from the next one on, and tell the client."""
        intake = Intake(size_px)
        if self._pictures is not None and self._pictures.intake != intake:
            self._pictures.intake = intake
            self.send({"type": "size", "size_px": size_px})

    def stats(self) -> LinkStats:
        """Return the figures of now."""
        pictures, sound = self._pictures, self._sound
        return LinkStats(
            state=self.state,
            frames_in=pictures.received if pictures else 0,
            dropped_before_intake=pictures.skipped if pictures else 0,
            frames_out=self.out.frames,
            age_at_send_ms_p50=self.out.age_ms.quantile(0.5),
            age_at_send_ms_p95=self.out.age_ms.quantile(0.95),
            sound_packets_in=sound.received if sound else 0,
            sound_packets_lost=sound.lost if sound else 0,
            messages_refused=self._refused,
            events_dropped=self.out.dropped,
        )

    # On the loop.

    async def close(self) -> None:
        """End the link and wait for it. Twice does no harm."""
        self._end(1000, "The session has ended.", "closed")
        if self.state != "new":
            await self._gone.wait()

    async def run(self) -> None:
        """Serve until the link ends; the socket is closed then."""
        self._set_state("connecting")
        self._open_intake()
        painted, sound = self._ends.painted, self._ends.sound
        work = [self._receive(), self.out.small(), self._beat()]
        if painted is not None:
            work.append(self._when_greeted(lambda: self.out.pictures(painted, self.codec)))
        if sound is not None:
            work.append(self._when_greeted(lambda: self.out.sound(sound)))
        tasks = [self._loop.create_task(self._guarded(one)) for one in work]
        try:
            end = await self._ended
            await self._say_goodbye(end)
        finally:
            # Who runs the link may be cancelled at any point, also in here: the rest is done all the same.
            self._closing = self._loop.create_task(self._let_go(tasks))
            await asyncio.shield(self._closing)

    async def _let_go(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in (self._pictures, self._sound):
            if line is not None:
                await line.worker.stop()
        self.out.close()
        if self._ended.done() and not self._ended.cancelled():
            self._set_state(self._ended.result().state)
        self._set_state("closed")
        self._gone.set()

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Turn whatever ends a task into the end of the link."""
        try:
            await work
        except SocketClosed as error:
            # 1000 and 1001: the page was closed or has changed to another path. Anything else is a loss.
            self._end(error.code, "", "closed" if error.code in (1000, 1001) else "failed")
        except WireError as error:
            self._fault(error)
        except ChannelClosed:
            self._end(1000, "The session has ended.", "closed")
        except Exception:
            log.exception("%s: a fault in the program", self._ends.name)
            self._end(1011, "A fault in the program.", "failed")

    def _fault(self, error: VitascopeError) -> None:
        """Tell of `error` and end."""
        self._refused += 1
        self.out.post(json.dumps(error_event(error)))
        self._end(getattr(error, "code", UNSUPPORTED), error.message, "failed")

    def _end(self, code: int, reason: str, state: str) -> None:
        if not self._ended.done():
            self._ended.set_result(_End(code, reason, state))

    async def _say_goodbye(self, end: _End) -> None:
        """Send what small things wait, then the close; a socket that takes nothing is left alone."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.out.flush()
                await self._socket.close(end.code if end.code not in (1005, 1006) else 1000, end.reason[:100])
        except (SocketClosed, TimeoutError):
            return

    # What comes in.

    async def _receive(self) -> None:
        begun_ns, count = self._clock.now_ns(), 0
        while True:
            message = await self._socket.receive()
            self._heard_ns = self._clock.now_ns()
            if self._heard_ns - begun_ns > NS_PER_S:
                begun_ns, count = self._heard_ns, 0
            count += 1
            if count > MOST_PER_S:
                raise WireError("The client sends too many messages.", hint="Keep the window.", code=POLICY)
            if isinstance(message, str):
                self._hear(message)
            else:
                self._take(unpack(message))

    def _hear(self, text: str) -> None:
        try:
            event = parse_message(text)
        except ConfigError as error:
            code = TOO_BIG if "too long" in error.message else UNSUPPORTED
            raise WireError(error.message, hint=error.hint, code=code) from error
        kind = event.get("type")
        if kind == "hello":
            self._greet(event)
        elif kind == "pong":
            return
        else:
            if kind == "ping":
                self.send({"type": "pong", "sent_ms": event.get("sent_ms")})
            # Not called from here: a fault in the application must not end the reading.
            self._loop.call_soon(self._hand_over, event)

    def _hand_over(self, event: dict[str, Any]) -> None:
        if self._ends.on_message is None:
            return
        try:
            self._ends.on_message(event)
        except VitascopeError as error:
            self._refused += 1
            self.send(error_event(error))

    def _greet(self, event: dict[str, Any]) -> None:
        takes = event.get("takes")
        known = [name for name in takes if name in CODECS] if isinstance(takes, list) else []
        if not known:
            raise WireError("The client takes no codec that is known here.", hint="Say h264 or jpeg.")
        if self._greeted.is_set():
            raise WireError("The client said hello twice.", hint="Once is enough.")
        self.codec = CODECS[known[0]]
        self._greeted.set()
        self.send({"type": "path", "path": self.path, "codec": known[0]})
        if self._pictures is not None:
            self.send({"type": "size", "size_px": self._pictures.intake.size_px})
        self._set_state("connected")

    def _take(self, packet: Packet) -> None:
        now_ns = self._clock.now_ns()
        if packet.kind is Kind.ACK:
            self.out.acked(packet.seq)
        elif packet.kind is Kind.WANT_KEY:
            self.out.wants_key = True
        elif packet.kind is Kind.PICTURE and self._pictures is not None:
            self._pictures.put(packet, now_ns)
        elif packet.kind is Kind.SOUND and self._sound is not None:
            self._sound.put(packet, now_ns)

    def _open_intake(self) -> None:
        ends = self._ends
        shared: dict[str, Any] = {
            "on_fault": lambda error: self._on_loop(lambda: self._fault(error)),
            "on_ended": lambda clean: None if clean else self._on_loop(self._worker_ended),
            "clock": self._clock,
        }
        if ends.on_frame is not None:
            self._pictures = PicturesIn(
                ends.name,
                Intake(ends.size_px),
                on_frame=ends.on_frame,
                on_taken=lambda seq: self._on_loop(lambda: self.out.post(pack(Packet(Kind.ACK, seq=seq)))),
                on_want_key=lambda: self._on_loop(lambda: self.out.post(pack(Packet(Kind.WANT_KEY)))),
                **shared,
            )
        if ends.on_audio is not None:
            self._sound = SoundIn(ends.name, on_audio=ends.on_audio, **shared)

    def _worker_ended(self) -> None:
        self._fault(ConnectionLost("The server could not take your picture: a fault in the program."))

    async def _when_greeted(self, work: Callable[[], Awaitable[None]]) -> None:
        await self._greeted.wait()
        await work()

    async def _beat(self) -> None:
        """Ping each second and end a link whose other side is silent."""
        while True:
            await asyncio.sleep(BEAT_S)
            now_ns = self._clock.now_ns()
            if now_ns - self._heard_ns > SILENT_S * NS_PER_S:
                self._end(GOING_AWAY, f"Nothing was heard for {SILENT_S:g} s.", "failed")
                return
            if not self._greeted.is_set() and now_ns - self._begun_ns > GREETING_S * NS_PER_S:
                raise WireError("The client said no hello.", hint='Send {"type": "hello", "takes": [...]}.')
            self.send({"type": "ping", "sent_ms": now_ns // NS_PER_MS})

    # Small tools.

    def _on_loop(self, call: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            call()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _set_state(self, state: str) -> None:
        if state == self.state or self.state == "closed":
            return
        self.state = state
        if self._ends.on_state is not None:
            self._ends.on_state(state)
