"""Sound tracks of one peer: what comes in, as 48 kHz mono, and the track that sends what is released."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.core.channel import Channel, Drop
from realtime.core.clock import NS_PER_S, Clock
from realtime.core.errors import ChannelClosed, VitascopeError
from realtime.core.frame import SOUND_RATE_HZ, AudioChunk, Stamp
from realtime.media import from_s16, to_s16
from realtime.worker import Worker

from .tracks import Arrival, Pump

SOUND_PACKETS_HELD = 100
"""2 s of 20 ms packets."""
_GAP = SOUND_RATE_HZ // 100
"""Where the sender's own time differs by more than these samples (10 ms), packets were lost: follow it."""


class SoundIn:
    """Bring a remote sound track to `on_audio` as 48 kHz mono; with no `on_audio` only drain it.

    `pts` follows the sender's own time, over losses too. A packet holds what was heard before it was sent, so
    its first sample was captured as long before it arrived as it lasts.
    """

    def __init__(
        self,
        track: MediaStreamTrack,
        *,
        source: str,
        on_audio: Callable[[AudioChunk], object] | None,
        on_error: Callable[[VitascopeError], None],
        on_ended: Callable[[bool], None],
        clock: Clock,
    ) -> None:
        drop, room = (Drop.OLDEST, 1) if on_audio is None else (Drop.NEVER, SOUND_PACKETS_HELD)
        channel: Channel[Arrival[av.AudioFrame]] = Channel(
            f"{source}.sound", capacity=room, drop=drop, clock=clock
        )
        self._on_audio = on_audio
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SOUND_RATE_HZ)
        self._seq = 0
        self._next: int | None = None
        self.pump: Pump[av.AudioFrame] = Pump(track, channel, source, clock)
        self.worker = None
        if on_audio is not None:
            self.worker = Worker(f"sound-{source}", channel, self._convert, on_error, on_ended)

    def _convert(self, arrival: Arrival[av.AudioFrame]) -> None:
        assert self._on_audio is not None
        due = round(arrival.stamp.pts * arrival.stamp.time_base * SOUND_RATE_HZ)
        if self._next is None or abs(due - self._next) > _GAP:  # the start, or packets were lost
            self._next = due
        for piece in self._resampler.resample(arrival.sample):
            samples = from_s16(piece)
            captured_ns = arrival.stamp.captured_ns - len(samples) * NS_PER_S // SOUND_RATE_HZ
            stamp = Stamp(
                arrival.stamp.source, self._seq, self._next, Fraction(1, SOUND_RATE_HZ), captured_ns
            )
            self._seq += 1
            self._next += len(samples)
            self._on_audio(AudioChunk(stamp, samples, SOUND_RATE_HZ))

    async def stop(self) -> None:
        """End the pump, then the worker."""
        await self.pump.stop()
        if self.worker is not None:
            await self.worker.stop()


class SoundTrack(MediaStreamTrack):
    """Send the sound of a channel as it comes: 48 kHz mono, and its `pts` as RTP time.

    aiortc ties RTP time to the wall clock as it sends (RTCP sender reports, RFC 3550, 6.4.1), for sound and
    pictures alike. So a browser plays together what leaves together, and sound is released to leave with its
    picture: nothing is added at either side. It ends when the channel closes or the track is stopped.
    """

    kind = "audio"

    def __init__(self, channel: Channel[AudioChunk]) -> None:
        super().__init__()
        self._channel = channel
        self._first: int | None = None

    async def recv(self) -> av.AudioFrame:
        """Wait for the next piece; what came before the first call is too old to be sent."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._first is None:
            self._channel.clear()
        try:
            chunk = await self._channel.aget()
        except ChannelClosed:
            self.stop()
            raise MediaStreamError from None
        if self._first is None:
            self._first = chunk.stamp.pts
        frame = av.AudioFrame.from_ndarray(to_s16(chunk.samples), format="s16", layout="mono")
        frame.sample_rate = SOUND_RATE_HZ
        frame.pts, frame.time_base = chunk.stamp.pts - self._first, Fraction(1, SOUND_RATE_HZ)
        return frame
