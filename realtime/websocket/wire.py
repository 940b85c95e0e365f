"""What goes over the socket: binary messages with a header of 24 bytes, and JSON objects as text.

Header, network byte order; the payload follows it:

    0   version   1
    1   kind      1 picture, 2 sound, 3 acknowledgement, 4 a key picture is wanted
    2   codec     0 none, 1 H.264 (Annex B, a whole access unit), 2 JPEG, 3 Opus (one packet, 48 kHz mono)
    3   flags     bit 0: a key picture, with which decoding can begin; the others are 0
    4   seq       32 bit, counts one kind in one direction; an acknowledgement names the newest that was taken
    8   pts       64 bit, microseconds, rising within a kind
    16  width     16 bit, px; 0 for what is no picture
    18  height    16 bit, px
    20  size      32 bit, bytes of payload: all of the rest of the message

`ui/assets/wire.js` is the twin. Nothing here does I/O.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from realtime.core.errors import UnsupportedMedia

VERSION = 1
HEADER = struct.Struct("!BBBBIQHHI")
MAX_PAYLOAD_BYTES = 1 << 20
"""Of a picture; a key picture of 1080p is a third of this at the highest rate that is ever asked for."""
MAX_SOUND_BYTES = 1275 * 3
"""An Opus packet holds three frames of 1275 bytes at most (RFC 6716, section 3.4)."""
MAX_MESSAGE_BYTES = HEADER.size + MAX_PAYLOAD_BYTES
MAX_SIDE_PX = 2560
MAX_PICTURE_PX = 2560 * 1440
"""Pictures with more pixels are refused before anything decodes them."""

UNSUPPORTED, POLICY, TOO_BIG, GOING_AWAY = 1003, 1008, 1009, 1001
"""Close codes (RFC 6455, section 7.4.1)."""


class Kind(IntEnum):
    PICTURE = 1
    SOUND = 2
    ACK = 3
    WANT_KEY = 4


class Codec(IntEnum):
    NONE = 0
    H264 = 1
    JPEG = 2
    OPUS = 3


CODECS = {
    Kind.PICTURE: (Codec.H264, Codec.JPEG),
    Kind.SOUND: (Codec.OPUS,),
    Kind.ACK: (Codec.NONE,),
    Kind.WANT_KEY: (Codec.NONE,),
}
KEY = 1


class WireError(UnsupportedMedia):
    """Report a message after which the socket is closed; `code` is what it is closed with."""

    def __init__(self, message: str, *, hint: str = "", code: int = UNSUPPORTED) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Packet:
    """Hold one binary message."""

    kind: Kind
    codec: Codec = Codec.NONE
    seq: int = 0
    pts_us: int = 0
    payload: bytes | memoryview = b""
    is_key: bool = False
    width_px: int = 0
    height_px: int = 0


def pack(packet: Packet) -> bytes:
    """Return the message of `packet`."""
    header = HEADER.pack(
        VERSION,
        packet.kind,
        packet.codec,
        KEY if packet.is_key else 0,
        packet.seq & 0xFFFFFFFF,
        packet.pts_us,
        packet.width_px,
        packet.height_px,
        len(packet.payload),
    )
    return header + bytes(packet.payload) if packet.payload else header


def unpack(message: bytes) -> Packet:
    """Return what `message` holds; its payload is a view. Raises WireError for any other message."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise WireError(
            f"A message of {len(message)} bytes is too long.",
            hint=f"At most {MAX_MESSAGE_BYTES} bytes.",
            code=TOO_BIG,
        )
    if len(message) < HEADER.size:
        raise WireError(f"A binary message of {len(message)} bytes has no whole header.", hint=HINT)
    version, kind_, codec_, flags, seq, pts_us, width, height, size = HEADER.unpack_from(message)
    if version != VERSION:
        raise WireError(f"A message is of version {version}, not {VERSION}.", hint="Load the page anew.")
    try:
        kind, codec = Kind(kind_), Codec(codec_)
    except ValueError:
        raise WireError(f"A message of kind {kind_} and codec {codec_} is unknown.", hint=HINT) from None
    if codec not in CODECS[kind]:
        raise WireError(f"Codec {codec.name} is none for {kind.name}.", hint=HINT)
    if size != len(message) - HEADER.size:
        raise WireError(f"A message says {size} bytes and has {len(message) - HEADER.size}.", hint=HINT)
    if flags & ~KEY:
        raise WireError(f"A message has unknown flags {flags:#x}.", hint=HINT)
    if kind is Kind.PICTURE:
        check_size(width, height)
    elif width or height:
        raise WireError("A message that is no picture has a size in pixels.", hint=HINT)
    most = {Kind.PICTURE: MAX_PAYLOAD_BYTES, Kind.SOUND: MAX_SOUND_BYTES}.get(kind, 0)
    if size > most:
        raise WireError(f"{kind.name} of {size} bytes is too long.", hint=f"At most {most}.", code=TOO_BIG)
    if most and not size:
        raise WireError(f"{kind.name} without a payload.", hint=HINT)
    return Packet(kind, codec, seq, pts_us, memoryview(message)[HEADER.size :], bool(flags), width, height)


def check_size(width_px: int, height_px: int) -> None:
    """Raise WireError for a picture that is empty, or larger than anything decodes here."""
    if width_px < 16 or height_px < 16:
        raise WireError(
            f"A picture of {width_px} x {height_px} px is too small.", hint="At least 16 px a side."
        )
    if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_PICTURE_PX:
        raise WireError(
            f"A picture of {width_px} x {height_px} px is too large.",
            hint=f"At most {MAX_SIDE_PX} px a side and {MAX_PICTURE_PX} px in all.",
            code=POLICY,
        )


HINT = "The message's layout is in realtime/websocket/wire.py."
