"""The size of a coded picture, read from its header: a few bytes can ask a decoder for gigabytes."""

from __future__ import annotations

_START = b"\x00\x00\x01"
_VP8_KEY = b"\x9d\x01\x2a"
_SPS = 7
_MOST_SPS_BYTES = 256
_WITH_CHROMA = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
UNREADABLE = (1 << 16, 1 << 16)
"""What is told for a header that ends too early: larger than any limit."""


def coded_size(codec: str, data: bytes) -> tuple[int, int] | None:
    """Return width and height in px that a picture's header asks for; None where it has no such header."""
    if codec == "VP8":
        return _vp8_size(data)
    largest = None
    at = data.find(_START)
    while 0 <= at < len(data) - 3:
        if data[at + 3] & 0x1F == _SPS:
            size = _sps_size(data[at + 3 : at + 3 + _MOST_SPS_BYTES])
            largest = max(largest or size, size, key=lambda one: one[0] * one[1])
        at = data.find(_START, at + 3)
    return largest


def _vp8_size(data: bytes) -> tuple[int, int] | None:
    """Read a key picture's header (RFC 6386, 9.1); the upper two bits of each side only scale its showing."""
    if not data or data[0] & 1:
        return None
    if len(data) < 10 or data[3:6] != _VP8_KEY:
        return UNREADABLE
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


class _Bits:
    """Read bits and Exp-Golomb codes (Rec. ITU-T H.264, 9.1). Raises EOFError past the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def skip(self, codes: int) -> None:
        for _ in range(codes):
            self.ue()


def _sps_size(unit: bytes) -> tuple[int, int]:
    """Read a sequence parameter set (7.3.2.1.1); cropping, which makes it smaller again, is not counted."""
    bits = _Bits(unit.replace(b"\x00\x00\x03", b"\x00\x00"))
    try:
        bits.take(8)
        profile = bits.take(8)
        bits.take(16)
        bits.ue()
        if profile in _WITH_CHROMA:
            _skip_chroma(bits)
        bits.ue()
        order = bits.ue()
        if order == 0:
            bits.ue()
        elif order == 1:
            bits.take(1)
            bits.skip(2)
            bits.skip(bits.ue())
        bits.ue()
        bits.take(1)
        width, height = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
        return width, height * (2 - bits.take(1))
    except EOFError:
        return UNREADABLE


def _skip_chroma(bits: _Bits) -> None:
    chroma = bits.ue()
    bits.take(chroma == 3)
    bits.skip(2)
    bits.take(1)
    if not bits.take(1):
        return
    for index in range(12 if chroma == 3 else 8):
        if bits.take(1):
            _skip_matrix(bits, 16 if index < 6 else 64)


def _skip_matrix(bits: _Bits, size: int) -> None:
    """Skip a scaling list (7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.ue()
            following = (last + (-(code // 2) if code % 2 == 0 else (code + 1) // 2)) % 256
        last = following or last
