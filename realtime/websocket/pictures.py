"""Pictures to bytes and back, on the caller's thread: H.264 by libx264 and FFmpeg, or JPEG one by one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from realtime.core.errors import UnsupportedMedia
from realtime.media import Pixels, fit, to_even, to_video_frame

from .wire import Codec, Packet

TIME_BASE = Fraction(1, 1_000_000)
NOMINAL_HZ = 30
JPEG_QUALITIES = (40, 55, 70, 80)
JPEG_BITS_PER_PX = (0.0, 0.5, 0.9, 1.5)
"""Each quality is taken when the rate allows so many bits a pixel."""
REOPEN = 2.0
"""The encoder is opened anew, with a key picture, when the rate is so many times off what it was opened for:
libx264 takes a new mean rate in between, but PyAV cannot tell it a new ceiling."""
CEILING, BUFFER_S = 1.5, 0.2
"""No second costs more than `CEILING` times the rate, and no picture more than `BUFFER_S` of it."""


@dataclass(frozen=True, slots=True)
class Encoded:
    data: bytes
    is_key: bool
    width_px: int
    height_px: int


class PictureEncoder:
    """Encode a stream of pictures; a new size, or a rate that is far off, begins with a key picture."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._context: Any = None
        self._opened_bps = 0
        self._last_us = -1

    def encode(
        self,
        pixels: Pixels,
        pts_us: int,
        *,
        bitrate_bps: int,
        rate_hz: float = NOMINAL_HZ,
        scale: float = 1.0,
        wants_key: bool = False,
    ) -> Encoded:
        """Return one picture's bytes. `rate_hz` says how many pictures share `bitrate_bps`."""
        if scale != 1.0:
            height, width = (max(16, round(side * scale / 16) * 16) for side in pixels.shape[:2])
            pixels = fit(pixels, width, height)
        if self.codec is Codec.JPEG:
            return _jpeg(pixels, bitrate_bps / max(1.0, rate_hz))
        frame = to_video_frame(pixels)
        # The encoder reckons with 30 pictures a second: fewer may cost more each.
        bits = round(bitrate_bps * NOMINAL_HZ / min(max(rate_hz, NOMINAL_HZ / 4), NOMINAL_HZ * 2))
        context = self._opened(frame.width, frame.height, bits)
        pts_us = self._last_us = max(pts_us, self._last_us + 1)
        frame.pts, frame.time_base = pts_us, TIME_BASE
        frame.pict_type = PictureType.I if wants_key else PictureType.NONE
        packets = context.encode(frame)
        if len(packets) != 1:
            raise UnsupportedMedia("The H.264 encoder kept a picture back.", hint="Use another codec.")
        return Encoded(bytes(packets[0]), packets[0].is_keyframe, frame.width, frame.height)

    def _opened(self, width: int, height: int, bits: int) -> Any:
        context = self._context
        is_same = context is not None and (context.width, context.height) == (width, height)
        if is_same and 1 / REOPEN < bits / self._opened_bps < REOPEN:
            context.bit_rate = bits
            return context
        context = self._context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = TIME_BASE, Fraction(NOMINAL_HZ)
        context.bit_rate = self._opened_bps = bits
        context.gop_size = 1 << 20  # a key picture comes when it is asked for
        context.thread_count = 1
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "maxrate": str(round(bits * CEILING)),
            "bufsize": str(round(bits * BUFFER_S)),
            "x264-params": "scenecut=0:repeat-headers=1:annexb=1",
        }
        return context


def _jpeg(pixels: Pixels, bits: float) -> Encoded:
    pixels = to_even(pixels)
    per_px = bits / (pixels.shape[0] * pixels.shape[1])
    quality = max(q for q, least in zip(JPEG_QUALITIES, JPEG_BITS_PER_PX, strict=True) if per_px >= least)
    data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ]
    return Encoded(data.tobytes(), True, pixels.shape[1], pixels.shape[0])


class PictureDecoder:
    """Decode a stream of pictures that `sizes.check_picture` has let through."""

    def __init__(self) -> None:
        self._context: Any = None

    def decode(self, packet: Packet) -> av.VideoFrame | None:
        """Return the picture, None when the decoder gives none. Raises UnsupportedMedia; then `reset`."""
        if packet.codec is Codec.JPEG:
            data = np.frombuffer(packet.payload, np.uint8)
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if bgr is None:
                raise UnsupportedMedia("A JPEG could not be decoded.", hint="Send another.")
            return av.VideoFrame.from_ndarray(np.asarray(bgr, np.uint8), format="bgr24")
        if self._context is None:
            self._context = av.CodecContext.create("h264", "r")
            self._context.thread_count = 1
            self._context.flags |= Flags.low_delay
        try:
            pictures = self._context.decode(av.Packet(bytes(packet.payload)))
        except av.FFmpegError as error:
            raise UnsupportedMedia(f"A picture could not be decoded: {error}.") from error
        return pictures[-1] if pictures else None

    def reset(self) -> None:
        """Forget the stream; the next picture must be a key picture."""
        self._context = None
