"""Sound as Opus packets of 20 ms, 48 kHz mono, both ways; on the caller's thread."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from realtime.core.errors import UnsupportedMedia

RATE_HZ = 48_000
PACKET_SAMPLES = 960
BITRATE_BPS = 48_000

Samples = npt.NDArray[np.float32]


class SoundEncoder:
    """Encode mono float32 sound; what does not fill a packet waits for more."""

    def __init__(self) -> None:
        self._context: Any = av.CodecContext.create("libopus", "w")
        self._context.sample_rate, self._context.layout, self._context.format = RATE_HZ, "mono", "flt"
        self._context.time_base = Fraction(1, RATE_HZ)
        self._context.bit_rate = BITRATE_BPS
        self._context.options = {"application": "lowdelay", "frame_duration": "20"}
        self._waiting = np.empty(0, np.float32)
        self._next = 0

    def encode(self, samples_N: Samples) -> Iterator[tuple[bytes, int]]:
        """Give (packet, its time in samples) for each packet that is now full."""
        self._waiting = np.concatenate([self._waiting, samples_N])
        while len(self._waiting) >= PACKET_SAMPLES:
            piece, self._waiting = np.split(self._waiting, [PACKET_SAMPLES])
            frame = av.AudioFrame.from_ndarray(piece[None], format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._next, Fraction(1, RATE_HZ)
            for packet in self._context.encode(frame):
                yield bytes(packet), self._next
            self._next += PACKET_SAMPLES


class SoundDecoder:
    """Decode Opus packets."""

    def __init__(self) -> None:
        self._context: Any = av.CodecContext.create("libopus", "r")
        self._context.sample_rate, self._context.layout = RATE_HZ, "mono"
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)

    def decode(self, payload: bytes) -> Samples:
        """Return mono float32 samples, (n,). Raises UnsupportedMedia."""
        try:
            frames = self._context.decode(av.Packet(payload))
            pieces = [piece for frame in frames for piece in self._resampler.resample(frame)]
        except av.FFmpegError as error:
            raise UnsupportedMedia(f"A sound packet could not be decoded: {error}.") from error
        if not pieces:
            return np.empty(0, np.float32)
        return np.concatenate([piece.to_ndarray()[0] for piece in pieces]).astype(np.float32)
