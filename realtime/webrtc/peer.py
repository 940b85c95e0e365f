"""One WebRTC peer: an offer becomes an answer, pictures and sound come in, painted pictures go out.

It lives on the event loop that called `answer`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from realtime.core.errors import ConnectionLost, SessionError, UnsupportedMedia, VitascopeError
from realtime.core.metrics import Histogram
from realtime.link import Ends, LinkStats
from realtime.media import MAX_PICTURE_PX, Intake
from realtime.messages import error_event

from . import tuning
from .coded import UNREADABLE
from .control import LABEL, ControlChannel
from .ice import Ice, announced, candidate_types
from .line import MOST_BITS_S, Line
from .liveness import Liveness
from .offer import OFFER_HINT, SDP_ERRORS, Codec, check_offer, fingerprints, has_sound, preferred_codecs
from .painted import PaintedTrack
from .ports import hold_to, relay_troubles
from .sounds import SoundIn, SoundTrack
from .tracks import VideoIn
from .trickle import MAX_CANDIDATES, add_candidates, parse_fragment
from .ways import RELAY_HINT, configuration, no_way, packets_in

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 5.0
LISTEN_EVERY_S = 1.0
SIZES_TOLD = 4


class Peer:
    """Connect one browser or other WebRTC client: the aiortc engine of `realtime.link.Link`."""

    def __init__(
        self,
        ends: Ends,
        *,
        path: str = "webrtc",
        codec: Codec = "h264",
        ice: Ice | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        most_bits_s: int = MOST_BITS_S,
        max_px: int = MAX_PICTURE_PX,
    ) -> None:
        tuning.apply()
        self.name = ends.name
        self.path = path
        self.state = "new"
        self.age_ms = Histogram(f"{ends.name}_age_at_send_ms")
        self._ends = ends
        self._intake = Intake(ends.size_px)
        self._codec = codec
        self._ice = ice or Ice()
        self._connect_timeout_s = connect_timeout_s
        self._line = Line(most_bits_s)
        self._max_px = max_px
        self._too_large: set[tuple[int, int]] = set()
        """Sizes that the other side was told of."""
        self._pc: RTCPeerConnection | None = None
        self._fingerprints: frozenset[str] = frozenset()
        self._control: ControlChannel | None = None
        self._out: PaintedTrack | None = None
        self._sound_out: SoundTrack | None = None
        self._ins: list[VideoIn | SoundIn] = []
        self._closing: asyncio.Task[None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._offer = ""
        self._trickled = 0
        self._live = Liveness(ends.clock)
        self._listener: asyncio.TimerHandle | None = None

    @property
    def silent_s(self) -> float:
        """For how long nothing has come, to within a second."""
        return self._live.silent_s

    def knows(self, offer_sdp: str) -> bool:
        """Tell whether an offer is of the connection that it has: of the same certificate (RFC 8122, 5)."""
        return self._closing is None and bool(self._fingerprints & fingerprints(offer_sdp))

    async def answer(self, offer_sdp: str) -> str:
        """Return the answer to an offer. A second offer renegotiates.

        Raises UnsupportedMedia for an offer that cannot be used, NoWay when this side has no address to
        offer; the peer is then closed unless it was connected.
        """
        check_offer(offer_sdp)
        if self._closing is not None:
            raise SessionError("This connection was closed.", hint="Start a new session.", permanent=True)
        first = self._pc is None
        pc = self._pc or self._connection()
        if has_sound(offer_sdp):
            self._offer_sound(pc)
        try:
            await pc.setRemoteDescription(RTCSessionDescription(sdp=offer_sdp, type="offer"))
            with relay_troubles() as troubles:
                await pc.setLocalDescription()
        except SDP_ERRORS as error:
            if first:
                await self.close()
            raise UnsupportedMedia(
                f"The offer (SDP) could not be used: {str(error) or type(error).__name__}.", hint=OFFER_HINT
            ) from error
        answer = str(pc.localDescription.sdp)
        if first:
            await self._check_way(answer, troubles)
        if first and self._closing is None and pc.connectionState != "connected":
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(self._connect_timeout_s, self._not_connected)
        self._fingerprints = fingerprints(offer_sdp)
        self._offer = offer_sdp
        return announced(answer, self._ice.public_address)

    async def trickle(self, fragment: str) -> None:
        """Take candidates that the other side found after its offer.

        Those past the first 64 are passed over: each makes this machine send to an address that a stranger
        chose. Raises UnsupportedMedia for what is no fragment, RestartRefused for a restart of ICE.
        """
        read = parse_fragment(fragment)
        if self._pc is None or self._closing is not None:
            raise SessionError("This connection was closed.", hint="Start a new one.", permanent=True)
        self._trickled += await add_candidates(self._pc, self._offer, read, MAX_CANDIDATES - self._trickled)

    def send(self, event: dict[str, Any]) -> None:
        """Send an event over the data channel, from any thread; until it is open the newest 16 wait."""
        if self._control is not None:
            self._control.send(event)

    def resize(self, size_px: int | None) -> None:
        """Cut incoming pictures to another size from the next one on."""
        self._intake = Intake(size_px)
        for line in self._ins:
            if isinstance(line, VideoIn):
                line.intake = self._intake

    def stats(self) -> LinkStats:
        """Return the figures of now."""
        video = [line.pump for line in self._ins if isinstance(line, VideoIn)]
        sound = [line.pump for line in self._ins if isinstance(line, SoundIn)]
        control = self._control
        return LinkStats(
            state=self.state,
            frames_in=sum(pump.received for pump in video),
            dropped_before_intake=sum(pump.channel.stats().dropped for pump in video),
            frames_out=self._out.sent if self._out is not None else 0,
            age_at_send_ms_p50=self.age_ms.quantile(0.5),
            age_at_send_ms_p95=self.age_ms.quantile(0.95),
            sound_packets_in=sum(pump.received for pump in sound),
            sound_packets_lost=sum(pump.refused for pump in sound),
            messages_refused=control.refused if control is not None else 0,
            events_dropped=control.dropped if control is not None else 0,
        )

    async def close(self) -> None:
        """End tracks, threads and the connection. Twice does no harm, from anywhere on the loop."""
        await asyncio.shield(self._close_soon())

    def _close_soon(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name=f"close-{self.name}")
        return self._closing

    async def _close(self) -> None:
        for timer in (self._watchdog, self._listener):
            if timer is not None:
                timer.cancel()
        for out in (self._out, self._sound_out):
            if out is not None:
                out.stop()
        if self._control is not None:
            self._control.detach()
        if self._pc is not None:
            try:
                await asyncio.wait_for(self._pc.close(), CLOSE_TIMEOUT_S)
            except TimeoutError:
                log.warning("%s: the connection did not close within %g s", self.name, CLOSE_TIMEOUT_S)
        for line in self._ins:
            await line.stop()
        self._set_state("closed")

    def _connection(self) -> RTCPeerConnection:
        ends, ice = self._ends, self._ice
        if ice.udp_ports is not None:
            hold_to(asyncio.get_running_loop(), ice.udp_ports)
        pc = self._pc = RTCPeerConnection(configuration(ice))
        self._control = ControlChannel(self._hear)
        takes = ends.on_frame is not None or ends.on_message is not None
        direction = "recvonly" if ends.painted is None else "sendrecv" if takes else "sendonly"
        video = pc.addTransceiver("video", direction=direction)
        video.setCodecPreferences(preferred_codecs(self._codec))
        tuning.limit_pictures(video.receiver, self._max_px, self._refuse_picture)
        if ends.painted is not None:
            self._out = PaintedTrack(
                ends.painted, clock=ends.clock, age_ms=self.age_ms, on_sent=ends.on_sent, line=self._line
            )
            video.sender.replaceTrack(self._out)
        pc.on("track", self._take_track)
        pc.on("datachannel", self._take_channel)
        pc.on("connectionstatechange", self._follow_state)
        return pc

    def _offer_sound(self, pc: RTCPeerConnection) -> None:
        """Send sound to a client that offers to hear some; as one stream with the pictures, so in step."""
        if self._ends.sound is not None and self._sound_out is None:
            self._sound_out = SoundTrack(self._ends.sound)
            pc.addTransceiver("audio").sender.replaceTrack(self._sound_out)

    def _refuse_picture(self, width: int, height: int) -> None:
        """Say, once for each size (and a few at most), that pictures are too large."""
        if (width, height) in self._too_large or len(self._too_large) >= SIZES_TOLD:
            return
        self._too_large.add((width, height))
        self._tell(
            UnsupportedMedia(
                f"Your pictures of {width} x {height} px are too large."
                if (width, height) != UNREADABLE
                else "Your pictures have a header that cannot be read.",
                hint=f"At most {self._max_px} pixels are taken, such as 1280 x 720.",
            )
        )

    def _take_track(self, track: MediaStreamTrack) -> None:
        source = f"{self.name}.{track.kind}" if track.kind != "video" else self.name
        if track.kind == "video":
            self._ins.append(
                VideoIn(
                    track,
                    source=source,
                    intake=self._intake,
                    on_frame=self._ends.on_frame,
                    on_error=self._tell,
                    on_ended=self._worker_ended,
                    clock=self._ends.clock,
                )
            )
        else:
            self._ins.append(
                SoundIn(
                    track,
                    source=source,
                    on_audio=self._ends.on_audio,
                    on_error=self._tell,
                    on_ended=self._worker_ended,
                    clock=self._ends.clock,
                )
            )

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == LABEL and self._control is not None:
            self._control.attach(channel)
        else:
            channel.close()

    def _follow_state(self) -> None:
        assert self._pc is not None
        state = self._pc.connectionState
        if state == "connected":
            if self._watchdog is not None:
                self._watchdog.cancel()
            self._listen()
        if state in ("failed", "closed"):
            if state == "failed":
                self._set_state("failed")
            self._close_soon()
        else:
            self._set_state(state)

    async def _check_way(self, answer: str, troubles: list[str]) -> None:
        """Raise NoWay when the answer offers no address; tell of a relay that is missing beside others."""
        why = "; ".join(dict.fromkeys(troubles))
        if candidate_types(answer):
            if why:
                log.warning("%s: no relay from the TURN server: %s", self.name, why)
                self.send({"type": "notice", "message": f"No relay: {why}.", "hint": RELAY_HINT})
            return
        log.warning("%s: no address to offer: %s", self.name, why or "no UDP port is free")
        await self.close()
        raise no_way(self._ice, why)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("type") == "ping":
            self._live.ping()
            self.send({"type": "pong", "sent_ms": message.get("sent_ms")})
        if self._ends.on_message is not None:
            self._ends.on_message(message)

    def _listen(self) -> None:
        """Close a connection whose client is gone: its session may wait for another."""
        if self._closing is not None or self._pc is None:
            return
        self._live.count(packets_in(self._pc), self.stats().frames_in)
        if self._live.is_gone():
            log.info("%s: nothing came for %.1f s", self.name, self._live.silent_s)
            self._set_state("failed")
            self._close_soon()
            return
        if self._listener is not None:
            self._listener.cancel()
        self._listener = asyncio.get_running_loop().call_later(LISTEN_EVERY_S, self._listen)

    def _not_connected(self) -> None:
        self._set_state("failed")
        self._close_soon()

    def _set_state(self, state: str) -> None:
        if state == self.state or self.state == "closed":
            return
        self.state = state
        if self._ends.on_state is not None:
            self._ends.on_state(state)

    def _tell(self, error: VitascopeError) -> None:
        self.send(error_event(error))

    def _worker_ended(self, clean: bool) -> None:
        if not clean:
            said = "The server could not take your picture: a fault in the program."
            self._tell(ConnectionLost(said, hint=OFFER_HINT))
