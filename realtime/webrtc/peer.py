"""One WebRTC peer: an offer becomes an answer, pictures and sound come in, painted pictures go out.

It lives on the event loop that called `answer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from realtime.core.errors import ConnectionLost, SessionError, UnsupportedMedia, VitascopeError
from realtime.core.metrics import Histogram
from realtime.link import Ends, LinkStats
from realtime.media import Intake

from . import tuning
from .control import LABEL, ControlChannel, error_event
from .line import MOST_BITS_S, Line
from .offer import OFFER_HINT, SDP_ERRORS, Codec, check_offer, fingerprints, preferred_codecs
from .painted import PaintedTrack
from .tracks import SoundIn, VideoIn

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 5.0


class Peer:
    """Connect one browser or other WebRTC client: the aiortc engine of `realtime.link.Link`."""

    def __init__(
        self,
        ends: Ends,
        *,
        path: str = "webrtc",
        codec: Codec = "h264",
        ice_servers: Sequence[RTCIceServer] = (),
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        most_bits_s: int = MOST_BITS_S,
    ) -> None:
        tuning.apply()
        self.name = ends.name
        self.path = path
        self.state = "new"
        self.age_ms = Histogram(f"{ends.name}_age_at_send_ms")
        self._ends = ends
        self._intake = Intake(ends.size_px)
        self._codec = codec
        self._ice_servers = list(ice_servers)
        self._connect_timeout_s = connect_timeout_s
        self._most_bits_s = most_bits_s
        self._pc: RTCPeerConnection | None = None
        self._fingerprints: frozenset[str] = frozenset()
        self._control: ControlChannel | None = None
        self._out: PaintedTrack | None = None
        self._ins: list[VideoIn | SoundIn] = []
        self._closing: asyncio.Task[None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None

    def knows(self, offer_sdp: str) -> bool:
        """Tell whether an offer is of the connection that it has: of the same certificate (RFC 8122, 5)."""
        return self._closing is None and bool(self._fingerprints & fingerprints(offer_sdp))

    async def answer(self, offer_sdp: str) -> str:
        """Return the answer to an offer. A second offer renegotiates.

        Raises UnsupportedMedia for an offer that cannot be used; the peer is then closed unless it was
        connected.
        """
        check_offer(offer_sdp)
        if self._closing is not None:
            raise SessionError("This connection was closed.", hint="Start a new session.", permanent=True)
        first = self._pc is None
        pc = self._pc or self._connection()
        try:
            await pc.setRemoteDescription(RTCSessionDescription(sdp=offer_sdp, type="offer"))
            await pc.setLocalDescription()
        except SDP_ERRORS as error:
            if first:
                await self.close()
            raise UnsupportedMedia(
                f"The offer (SDP) could not be used: {str(error) or type(error).__name__}.", hint=OFFER_HINT
            ) from error
        if first and self._closing is None and pc.connectionState != "connected":
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(self._connect_timeout_s, self._not_connected)
        self._fingerprints = fingerprints(offer_sdp)
        return str(pc.localDescription.sdp)

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
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._out is not None:
            self._out.stop()
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
        pc = self._pc = RTCPeerConnection(RTCConfiguration(iceServers=self._ice_servers))
        self._control = ControlChannel(self._ends.on_message)
        video = pc.addTransceiver(
            "video", direction="sendrecv" if self._ends.painted is not None else "recvonly"
        )
        video.setCodecPreferences(preferred_codecs(self._codec))
        if self._ends.painted is not None:
            self._out = PaintedTrack(
                self._ends.painted, clock=self._ends.clock, age_ms=self.age_ms, line=Line(self._most_bits_s)
            )
            video.sender.replaceTrack(self._out)
        pc.on("track", self._take_track)
        pc.on("datachannel", self._take_channel)
        pc.on("connectionstatechange", self._follow_state)
        return pc

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
        if state == "connected" and self._watchdog is not None:
            self._watchdog.cancel()
        if state in ("failed", "closed"):
            if state == "failed":
                self._set_state("failed")
            self._close_soon()
        else:
            self._set_state(state)

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
            self._tell(
                ConnectionLost(
                    "The server could not take your picture: a fault in the program.", hint=OFFER_HINT
                )
            )
