"""Sizes are read from the bytes before a decoder sees them; bombs and oddities do not pass."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.websocket.sizes import check_picture, jpeg_size, sps_size, units
from realtime.websocket.wire import POLICY, UNSUPPORTED, Codec, Kind, Packet, WireError


def key_picture(width: int, height: int, profile: str = "baseline", pixels: str = "yuv420p") -> bytes:
    """Return the first picture of an H.264 stream."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base, context.thread_count = Fraction(1, 30), 1
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": profile}
    frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 99, np.uint8), format="rgb24")
    frame = frame.reformat(format=pixels)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in context.encode(frame))


def picture(data: bytes, codec: Codec = Codec.H264) -> Packet:
    return Packet(Kind.PICTURE, codec, payload=data, is_key=True, width_px=64, height_px=64)


def patched_sps(width_blocks: int, height_blocks: int) -> bytes:
    """Return a baseline SPS that asks for so many blocks of 16 px, with nothing else in it."""
    bits = f"{0x67:08b}{66:08b}{0:08b}{40:08b}" + "1" + "1" + "1" + "1" + "010" + "0"
    for number in (width_blocks, height_blocks):
        bits += "0" * (number.bit_length() - 1) + f"{number:b}"
    bits += "1" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("size", [(64, 48), (640, 480), (258, 130), (1280, 720)])
@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_the_size_of_real_streams_is_read(size: tuple[int, int], profile: str) -> None:
    data = key_picture(*size, profile)
    sps = next(unit for unit in units(data) if unit[0] & 31 == 7)
    assert sps_size(sps) == tuple(-(-side // 16) * 16 for side in size)
    check_picture(picture(data))


def test_a_resolution_bomb_is_refused_by_its_parameter_set() -> None:
    start, idr = b"\x00\x00\x00\x01", b"\x65\x88\x80\x10"
    check_picture(picture(start + patched_sps(40, 30) + start + idr))
    with pytest.raises(WireError) as caught:
        check_picture(picture(start + patched_sps(1000, 1000) + start + idr))
    assert caught.value.code == POLICY
    assert "16000 x 16000" in caught.value.message


def test_a_parameter_set_in_a_delta_picture_is_looked_at_too() -> None:
    data = b"\x00\x00\x01" + patched_sps(1000, 1000) + b"\x00\x00\x01\x41\x9a"
    with pytest.raises(WireError):
        check_picture(Packet(Kind.PICTURE, Codec.H264, payload=data, width_px=64, height_px=64))


@pytest.mark.parametrize(("profile", "pixels"), [("high444", "yuv444p"), ("high422", "yuv422p")])
def test_other_than_420_is_refused(profile: str, pixels: str) -> None:
    with pytest.raises(WireError) as caught:
        check_picture(picture(key_picture(64, 48, profile, pixels)))
    assert caught.value.code == UNSUPPORTED


def test_a_key_picture_without_its_parameter_set_is_refused() -> None:
    with pytest.raises(WireError):
        check_picture(picture(b"\x00\x00\x01\x65\x88\x80"))
    with pytest.raises(WireError):
        check_picture(picture(b"no stream at all"))


@pytest.mark.parametrize("size", [(64, 48), (641, 479)])
def test_the_size_of_a_jpeg_is_read(size: tuple[int, int]) -> None:
    data = cv2.imencode(".jpg", np.zeros((size[1], size[0], 3), np.uint8))[1].tobytes()
    assert jpeg_size(data) == size
    check_picture(picture(data, Codec.JPEG))


def test_a_jpeg_bomb_and_a_progressive_jpeg_are_refused() -> None:
    data = bytearray(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = (60_000).to_bytes(2, "big") * 2
    with pytest.raises(WireError) as caught:
        check_picture(picture(bytes(data), Codec.JPEG))
    assert caught.value.code == POLICY
    slow = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
    with pytest.raises(WireError):
        check_picture(picture(slow.tobytes(), Codec.JPEG))


@given(st.binary(max_size=200), st.sampled_from([Codec.H264, Codec.JPEG]), st.booleans())
def test_any_bytes_pass_or_are_refused(data: bytes, codec: Codec, is_key: bool) -> None:
    for head in (b"", b"\x00\x00\x01\x67\x42\x00\x1f", b"\xff\xd8"):
        try:
            check_picture(Packet(Kind.PICTURE, codec, 0, 0, head + data, is_key, 64, 64))
        except WireError:
            continue
