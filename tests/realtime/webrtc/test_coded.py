"""The size in a coded picture's header, read as encoders write it; a bomb is never given to the decoder."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from aiortc.jitterbuffer import JitterFrame
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.channel import Channel
from realtime.core.frame import Frame
from realtime.link import Ends
from realtime.webrtc.buffers import BoundedDecoderQueue
from realtime.webrtc.coded import UNREADABLE, coded_size
from realtime.webrtc.peer import SIZES_TOLD, Peer
from tests.realtime.webrtc.client import Client, NumberedCamera
from tests.vocabulary import timeless


def coded(codec: str, width: int, height: int, **options: str) -> list[bytes]:
    """Return two pictures, the first one a key picture."""
    name = {"VP8": "libvpx", "H264": "libx264"}[codec]
    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = width, height, options.pop("pix_fmt", "yuv420p")
    context.thread_count, context.bit_rate = 1, 200_000
    fast = {"preset": "ultrafast", "tune": "zerolatency"} if codec == "H264" else {"lag-in-frames": "0"}
    context.options = {**fast, **options}
    packets = []
    for number in range(2):
        frame = av.VideoFrame.from_ndarray(
            np.full((height, width, 3), 90 * number, np.uint8), format="rgb24"
        ).reformat(format=context.pix_fmt)
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return [bytes(packet) for packet in packets]


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (1280, 720), (1918, 1078)])
def test_vp8_pictures_tell_their_size(size: tuple[int, int]) -> None:
    key, inter = coded("VP8", *size)
    assert coded_size("VP8", key) == size
    assert coded_size("VP8", inter) is None


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "baseline"},
        {"profile": "high"},
        {"profile": "high", "x264-params": "cqm=jvt"},
        {"profile": "high444", "pix_fmt": "yuv444p", "x264-params": "cqm=jvt"},
        {"x264-params": "interlaced=1"},
        {"x264-params": "aud=1:bframes=2"},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(64, 64), (640, 480), (1280, 704)])
def test_h264_pictures_tell_their_size(size: tuple[int, int], options: dict[str, str]) -> None:
    key, inter, *_ = coded("H264", *size, **options)
    width, height = coded_size("H264", key) or (0, 0)
    assert width == size[0]
    assert size[1] <= height < size[1] + 32  # an interlaced picture is coded in pairs of rows of blocks
    assert coded_size("H264", inter) is None


@given(st.binary(max_size=64))
@timeless
def test_any_bytes_are_read_without_a_fault(data: bytes) -> None:
    for codec in ("VP8", "H264"):
        for prefix in (b"", b"\x00\x00\x01\x67", b"\x10\x00\x00\x9d\x01\x2a"):
            coded_size(codec, prefix + data)


def test_a_header_that_ends_too_early_is_too_large() -> None:
    assert coded_size("H264", b"\x00\x00\x01\x67\x42\xe0") == UNREADABLE
    assert coded_size("VP8", b"\x10\x00\x00\x9d\x01\x2a\x40") == UNREADABLE
    assert coded_size("H264", b"\x00\x00\x01") is None
    assert coded_size("VP8", b"") is None


def test_after_a_picture_that_is_too_large_only_a_fitting_key_picture_is_decoded() -> None:
    vp8 = SimpleNamespace(name="VP8", mimeType="video/VP8")
    asked: list[int] = []
    told: list[tuple[int, int]] = []
    queue = BoundedDecoderQueue(lambda: asked.append(1))
    queue.limit_px, queue.on_too_large = 320 * 240, lambda *size: told.append(size)
    bomb, rest = coded("VP8", 640, 480)
    small, after = coded("VP8", 320, 240)
    for data in (bomb, rest, small, after):
        queue.put((vp8, JitterFrame(data=data, timestamp=0)))
    assert [queue.get_nowait()[1].data for _ in range(queue.qsize())] == [small, after]
    assert (told, len(asked), queue.forgotten) == ([(640, 480)], 1, 2)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_a_client_is_told_that_its_pictures_are_too_large_and_goes_on_with_smaller_ones(
    codec: Any,
) -> None:
    sizes: list[tuple[int, int]] = []
    out: Channel[Frame] = Channel("painted")

    def take(frame: Frame) -> None:
        sizes.append((frame.pixels.shape[1], frame.pixels.shape[0]))
        out.put(frame)

    peer = Peer(Ends(painted=out, on_frame=take), codec=codec, max_px=320 * 240)
    camera = NumberedCamera((320, 240))
    client = Client(camera)
    try:
        await client.connect(peer)
        await client.control_open()
        await client.pictures(3)
        camera.size = (640, 480)
        told = lambda: [m for m in client.messages if m["type"] == "error"]  # noqa: E731 - one word
        await client.until(told)
        assert "640 x 480 px are too large" in told()[0]["message"]
        assert "76800 pixels" in told()[0]["hint"]
        for number in range(12):  # another size with each picture
            camera.size = (640 + 16 * number, 480)
            await camera.until_sent(camera.sent + 1)
        camera.size = (160, 128)
        await client.until(lambda: sizes[-1] == (160, 128))
        await asyncio.sleep(0)
        assert len(told()) <= SIZES_TOLD
        assert set(sizes) == {(320, 240), (160, 128)}
    finally:
        await client.close()
        await peer.close()
