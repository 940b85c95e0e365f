"""The header: what is packed comes back, and whatever else comes is refused with a code, never a crash."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.websocket.wire import (
    HEADER,
    MAX_MESSAGE_BYTES,
    POLICY,
    TOO_BIG,
    UNSUPPORTED,
    Codec,
    Kind,
    Packet,
    WireError,
    pack,
    unpack,
)

sides = st.integers(16, 1440)
pictures = st.builds(
    Packet,
    st.just(Kind.PICTURE),
    st.sampled_from([Codec.H264, Codec.JPEG]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**63),
    st.binary(min_size=1, max_size=300),
    st.booleans(),
    sides,
    sides,
)
others = st.one_of(
    st.builds(Packet, st.just(Kind.SOUND), st.just(Codec.OPUS), payload=st.binary(min_size=1, max_size=300)),
    st.builds(Packet, st.sampled_from([Kind.ACK, Kind.WANT_KEY]), seq=st.integers(0, 2**32 - 1)),
)


@given(st.one_of(pictures, others))
def test_what_is_packed_comes_back(packet: Packet) -> None:
    assert unpack(pack(packet)) == packet


@given(st.binary(max_size=400))
def test_any_bytes_are_a_packet_or_an_error_with_a_code(message: bytes) -> None:
    refused = None
    try:
        assert pack(unpack(message)) == message
    except WireError as error:
        refused = error
    if refused is not None:
        assert refused.code in (UNSUPPORTED, POLICY, TOO_BIG)
        assert refused.message.endswith(".")


@given(pictures, st.integers(0, HEADER.size - 1), st.integers(1, 255))
def test_a_header_with_one_byte_changed_is_read_or_refused(packet: Packet, at: int, change: int) -> None:
    message = bytearray(pack(packet))
    message[at] ^= change
    with suppress(WireError):
        assert pack(unpack(bytes(message))) == bytes(message)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (Packet(Kind.PICTURE, Codec.H264, payload=b"x", width_px=8000, height_px=64), POLICY),
        (Packet(Kind.PICTURE, Codec.H264, payload=b"x", width_px=2560, height_px=2560), POLICY),
        (Packet(Kind.PICTURE, Codec.H264, payload=b"x"), UNSUPPORTED),
        (Packet(Kind.PICTURE, Codec.OPUS, payload=b"x", width_px=64, height_px=64), UNSUPPORTED),
        (Packet(Kind.PICTURE, Codec.H264, width_px=64, height_px=64), UNSUPPORTED),
        (Packet(Kind.SOUND, Codec.OPUS, payload=b"x" * 5000), TOO_BIG),
        (Packet(Kind.ACK, payload=b"x"), TOO_BIG),
    ],
)
def test_what_may_not_be_is_refused(packet: Packet, code: int) -> None:
    with pytest.raises(WireError) as caught:
        unpack(pack(packet))
    assert caught.value.code == code


def test_a_message_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(WireError) as caught:
        unpack(bytes(MAX_MESSAGE_BYTES + 1))
    assert caught.value.code == TOO_BIG
