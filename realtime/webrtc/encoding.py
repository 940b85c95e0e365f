"""The H.264 encoder behind aiortc's: x264 "ultrafast", or a GPU's own, at a rate that follows the line.

Replaces `H264Encoder._encode_frame`; see `tuning.py` for why and where it is put in.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import av
import av.error

log = logging.getLogger(__name__)

Encoder = Literal["auto", "x264", "nvenc"]

MOST_RATE_HZ = 30
BUFFER_S = 1 / 6
"""A picture is at most so large, at the codec's rate: a key picture must not jam a narrow line."""
HEADROOM = 2.0
"""x264 takes a new rate while it runs, but only one below its limit when it was opened, and that limit must
be its rate then. So it is opened at so much more than is asked, and turned down at once."""
BELOW_RATE = 0.35
"""Below this share of the rate that it was opened for, its limits on single pictures are too wide."""
GPU_DEVICE = Path("/dev/nvidia0")


class _Choice:
    """Which encoder is wished for, and whether the GPU's was tried and refused. One a process."""

    wish: Encoder = "auto"
    is_refused = False


def wish_for(encoder: Encoder) -> None:
    """Choose the encoder of all connections that begin from now on; another wish than before tries anew."""
    if encoder != _Choice.wish:
        _Choice.wish, _Choice.is_refused = encoder, False


def encode_h264(self: Any, frame: av.VideoFrame, force_keyframe: bool) -> Any:
    """Replace H264Encoder._encode_frame; a new rate within the codec's limits costs no key picture."""
    codec = self.codec
    if codec and (
        (frame.width, frame.height) != (codec.width, codec.height)
        or not BELOW_RATE < self.target_bitrate / self.opened_bits_s < HEADROOM
    ):
        self.buffer_data, self.buffer_pts, self.codec = b"", None, None
    elif codec and abs(self.target_bitrate - codec.bit_rate) > 0.1 * codec.bit_rate:
        codec.bit_rate = self.target_bitrate  # libx264 takes it over with the next picture
    kind = av.video.frame.PictureType
    frame.pict_type = kind.I if force_keyframe else kind.NONE
    if self.codec is None:
        self.codec = open_codec(frame.width, frame.height, self.target_bitrate)
        self.opened_bits_s = self.target_bitrate
    data = b"".join(bytes(packet) for packet in self.codec.encode(frame))
    if data:
        yield from self._split_bitstream(data)


def open_codec(width_px: int, height_px: int, bits_s: int) -> Any:
    """Return an open encoder: the GPU's where it is wished for and works, else x264. Tells once why not."""
    if is_gpu_wished():
        codec = _codec("h264_nvenc", width_px, height_px, bits_s)
        codec.options = {
            "maxrate": str(bits_s), "bufsize": str(int(BUFFER_S * bits_s)),
            "preset": "p1", "tune": "ull", "zerolatency": "1", "delay": "0",
            "rc": "cbr", "forced-idr": "1", "g": "3000", "bf": "0", "profile": "baseline",
        }  # fmt: skip
        try:
            codec.open()
            return codec
        except (av.error.FFmpegError, ValueError, OSError) as error:
            _Choice.is_refused = True
            log.warning("The GPU's H.264 encoder cannot be used (%s); x264 encodes, on the processor.", error)
    most_bits_s = int(HEADROOM * bits_s)
    codec = _codec("libx264", width_px, height_px, most_bits_s)
    codec.thread_count = 1
    codec.options = {
        "maxrate": str(most_bits_s), "bufsize": str(int(BUFFER_S * bits_s)),
        "level": "31", "preset": "ultrafast", "tune": "zerolatency", "g": "3000",
    }  # fmt: skip
    codec.profile = "Baseline"
    codec.open()
    codec.bit_rate = bits_s
    return codec


def is_gpu_wished() -> bool:
    """Tell whether the GPU's encoder is to be tried: named, or "auto" on a machine with an NVIDIA GPU."""
    if _Choice.is_refused or _Choice.wish == "x264":
        return False
    is_there = _Choice.wish == "nvenc" or GPU_DEVICE.exists()
    return is_there and "h264_nvenc" in av.codecs_available


def _codec(name: str, width_px: int, height_px: int, bits_s: int) -> Any:
    codec: Any = av.CodecContext.create(name, "w")
    codec.width, codec.height, codec.pix_fmt = width_px, height_px, "yuv420p"
    codec.bit_rate = bits_s
    codec.framerate = Fraction(MOST_RATE_HZ, 1)
    codec.time_base = Fraction(1, 90_000)
    return codec


@lru_cache(maxsize=1)
def encoder_threads() -> concurrent.futures.ThreadPoolExecutor:
    """Return the threads on which all peers of the process encode."""
    workers = max(2, min(8, os.cpu_count() or 2))
    return concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="encode")
