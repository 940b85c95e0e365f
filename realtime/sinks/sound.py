"""The sound of an input file on its way into the file that is written: copied, or made AAC where it must be.

Copying packet by packet keeps every sample and its time; both tracks have the same origin, so they stay
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from realtime.media import rate_of

if TYPE_CHECKING:
    import av.container

_COPIED = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
"""Codecs whose packets both MP4 and MOV take as they are."""
_AAC_RATES_HZ = frozenset({8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})


class SoundTrack:
    """Give the packets of the first sound stream of `source` for `output`, moved to begin at `origin_s`."""

    def __init__(
        self, source: av.container.InputContainer, output: av.container.OutputContainer, origin_s: Fraction
    ) -> None:
        stream = source.streams.audio[0]
        self._origin_s = origin_s
        self._packets = iter(source.demux(stream))
        self._held: av.Packet[av.AudioStream] | None = None
        self.copied = stream.codec_context.codec.canonical_name in _COPIED
        self._stream: av.AudioStream
        if self.copied:
            self._stream = output.add_stream_from_template(stream)
        else:
            rate = stream.rate if stream.rate in _AAC_RATES_HZ else 48_000
            layout = "mono" if stream.channels == 1 else "stereo"
            self._stream = output.add_stream("aac", rate=rate, layout=layout)
            self._stream.bit_rate = 160_000

    def until(self, time_s: Fraction | None) -> Iterator[av.Packet[av.AudioStream]]:
        """Give the packets that begin by `time_s` of the output; None: all that are left."""
        while True:
            packet = self._held or next(self._packets, None)
            self._held = None
            if packet is None or packet.dts is None:  # the demuxer's last, empty packet
                break
            if time_s is not None and packet.dts * rate_of(packet.time_base) - self._origin_s > time_s:
                self._held = packet
                return
            yield from self._copied(packet) if self.copied else self._encoded(packet)
        if time_s is None and not self.copied:
            yield from self._stream.encode(None)

    def _copied(self, packet: av.Packet[av.AudioStream]) -> Iterator[av.Packet[av.AudioStream]]:
        moved = round(self._origin_s / rate_of(packet.time_base))
        packet.dts = (packet.dts or 0) - moved
        packet.pts = packet.dts if packet.pts is None else packet.pts - moved
        packet.stream = self._stream
        yield packet

    def _encoded(self, packet: av.Packet[av.AudioStream]) -> Iterator[av.Packet[av.AudioStream]]:
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            return  # a damaged packet: a moment of silence
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(self._origin_s / rate_of(frame.time_base))
            yield from self._stream.encode(frame)
