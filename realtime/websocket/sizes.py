"""How large a picture will be, read from its bytes before a decoder sees them.

A few hundred bytes can ask a decoder for gigabytes. So the one parameter set (H.264) or frame header (JPEG)
that says the size is read here first, and only what the page can have made is let through: 8 bits, 4:2:0.
"""

from __future__ import annotations

from collections.abc import Iterator

from .wire import HINT, Codec, Packet, WireError, check_size

SPS, IDR = 7, 5
MAX_SPS_BYTES = 256
_PLAIN_PROFILES = (66, 77, 88)
"""Baseline, Main and Extended are always 8 bits, 4:2:0 (Rec. ITU-T H.264, 7.4.2.1.1)."""
_HIGH = 100
_START = b"\x00\x00\x01"


def check_picture(packet: Packet) -> None:
    """Raise WireError unless a decoder may see the picture in `packet`."""
    data = bytes(packet.payload)
    if packet.codec is Codec.JPEG:
        check_size(*jpeg_size(data))
        return
    kinds = set()
    for unit in units(data):
        kinds.add(unit[0] & 31)
        if unit[0] & 31 == SPS:
            check_size(*sps_size(unit[:MAX_SPS_BYTES]))
    if packet.is_key and not {SPS, IDR} <= kinds:
        raise WireError("A key picture has no parameter set, or no IDR slice.", hint=HINT)
    if not kinds:
        raise WireError("A picture holds no NAL unit.", hint="Send H.264 as Annex B byte stream.")


def units(data: bytes) -> Iterator[bytes]:
    """Give each NAL unit of an Annex B byte stream, without its start code."""
    at = data.find(_START)
    while at >= 0:
        begin = at + len(_START)
        at = data.find(_START, begin)
        unit = data[begin : at if at >= 0 else len(data)]
        if unit:
            yield unit


class _Bits:
    """Read a NAL unit's bits, without its emulation prevention bytes. Raises WireError past its end."""

    def __init__(self, unit: bytes) -> None:
        data = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise WireError("A parameter set ends too early.", hint=HINT)
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Read ue(v) (9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                raise WireError("A parameter set holds a number that is too large.", hint=HINT)
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """Read se(v) (9.1.1)."""
        number = self.golomb()
        return (number + 1) // 2 if number & 1 else -(number // 2)


def sps_size(unit: bytes) -> tuple[int, int]:
    """Return the coded width and height in px that a sequence parameter set asks for (7.3.2.1.1)."""
    bits = _Bits(unit)
    bits.read(8)
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()  # its id
    if profile == _HIGH:
        chroma, luma_bits, chroma_bits = bits.golomb(), bits.golomb(), bits.golomb()
        bits.read(1)
        has_matrices = bits.read(1)
        if (chroma, luma_bits, chroma_bits, has_matrices) != (1, 0, 0, 0):
            raise WireError("The video is not plain 8-bit 4:2:0.", hint="Send avc1.42e01f.")
    elif profile not in _PLAIN_PROFILES:
        raise WireError(f"H.264 profile {profile} is not taken.", hint="Send avc1.42e01f.")
    bits.golomb()  # log2_max_frame_num_minus4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.golomb(), 256)):
            bits.signed()
    if bits.golomb() > 16:
        raise WireError("The video wants more than 16 pictures kept.", hint="Send avc1.42e01f.")
    bits.read(1)
    width, height = 16 * (bits.golomb() + 1), 16 * (bits.golomb() + 1)
    return width, height if bits.read(1) else 2 * height


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height in px of a baseline JPEG (ITU-T T.81, B.2.2)."""
    if data[:2] != b"\xff\xd8":
        raise WireError("A picture that should be JPEG is none.", hint=HINT)
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:
            at += 1
            continue
        if marker in (0xC0, 0xC1):
            frame = data[at + 4 : at + 10]
            if len(frame) < 6 or frame[0] != 8 or frame[5] not in (1, 3):
                break
            return int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
        if 0xC2 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            raise WireError("Only baseline JPEG is taken.", hint="Send what canvas.toBlob makes.")
        at += 2 + max(length, 2)
    raise WireError("A JPEG has no frame header that can be read.", hint=HINT)
