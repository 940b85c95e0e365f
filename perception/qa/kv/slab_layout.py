"""What a slab file looks like, byte by byte, little-endian.

    header, 4096 bytes   magic, version, type, shape, record size, records a file, serial, epoch, model;
                         CRC-32
    record 0 ...         head: magic, number, time, score, one CRC-32 for each layer; its own CRC-32
                         each layer's packed keys and values, see `packing.py`
                         tail: the number and the head's CRC-32 again

The tail is written last. A record without a tail that fits its head was cut short: there is nothing there.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from realtime.core.errors import EngineError

from .packing import DTYPES, Packing

MAGIC = b"VITASLAB"
VERSION = 1
HEADER_BYTES = 4096
_HEADER = struct.Struct("<8sHBB4IQIQq32s")
_CRC = struct.Struct("<I")
_HEAD = struct.Struct("<4sIQqf")
_TAIL = struct.Struct("<QI4s")
_RECORD, _END = b"RECD", b"DONE"


@dataclass(frozen=True, slots=True)
class Head:
    """Say which block a record holds."""

    number: int
    at_ns: int
    """On the clock of the file's epoch."""
    score: float
    crcs: bytes
    """One CRC-32 of four bytes for each layer."""

    def crc(self, layer: int) -> int:
        return int(_CRC.unpack_from(self.crcs, 4 * layer)[0])


@dataclass(frozen=True, slots=True)
class Layout:
    """Give sizes and places within a slab file."""

    packing: Packing
    model: str
    """Whose keys and values these are: name, revision, quantisation; those of another model mean nothing."""
    slab_bytes: int
    """Of one file, at most, unless one record is larger."""

    @property
    def head_bytes(self) -> int:
        return -(-(_HEAD.size + 4 * self.packing.shape.layers + _CRC.size) // 8) * 8

    @property
    def record_bytes(self) -> int:
        return self.head_bytes + -(-(self.packing.block_bytes + _TAIL.size) // 8) * 8

    @property
    def records(self) -> int:
        """How many records a file holds at most."""
        return max(1, (self.slab_bytes - HEADER_BYTES) // self.record_bytes)

    def offset(self, slot: int) -> int:
        return HEADER_BYTES + slot * self.record_bytes

    def row_offset(self, slot: int, layer: int) -> int:
        return self.offset(slot) + self.head_bytes + layer * self.packing.layer_bytes

    def tail_offset(self, slot: int) -> int:
        return self.offset(slot + 1) - _TAIL.size

    # The file's header.

    def header(self, serial: int, epoch_ns: int, records: int) -> bytes:
        """Return the first bytes of a file."""
        shape, kind = self.packing.shape, DTYPES.index(self.packing.dtype)
        sizes = (shape.layers, shape.heads, shape.tokens, shape.head_dim, self.record_bytes, records)
        digest = hashlib.sha256(self.model.encode()).digest()
        told = _HEADER.pack(MAGIC, VERSION, kind, self.packing.int8, *sizes, serial, epoch_ns, digest)
        return (told + _CRC.pack(zlib.crc32(told))).ljust(HEADER_BYTES, b"\0")

    def read_header(self, header: bytes, name: str) -> tuple[int, int] | None:
        """Return how many records a file holds at most, and its epoch; None for a damaged header.

        Raises EngineError for a file of another program, version, model or shape.
        """
        if len(header) < HEADER_BYTES:
            return None
        told, crc = header[: _HEADER.size], _CRC.unpack_from(header, _HEADER.size)[0]
        magic, version, *_, records, serial, epoch_ns, digest = _HEADER.unpack(told)
        if magic != MAGIC:
            raise _refused(f"{name} is no slab file: it begins with {magic!r}.")
        if version != VERSION:
            raise _refused(f"{name} is of version {version}; this program reads version {VERSION}.")
        if zlib.crc32(told) != crc:
            return None
        ours = self.header(serial, epoch_ns, records)[: _HEADER.size]
        if digest != ours[-len(digest) :]:
            raise _refused(f"{name} remembers a stream for another model than {self.model}.")
        if told != ours:
            raise _refused(
                f"{name} holds blocks of another shape or type than {self.packing.shape}, "
                f"{self.packing.dtype}{', int8' if self.packing.int8 else ''}."
            )
        return int(records), int(epoch_ns)

    # A record's ends.

    def ends(self, head: Head) -> tuple[bytes, bytes]:
        """Return a record's head and tail."""
        told = _HEAD.pack(_RECORD, 0, head.number, head.at_ns, head.score) + head.crcs
        crc = zlib.crc32(told)
        return (told + _CRC.pack(crc)).ljust(self.head_bytes, b"\0"), _TAIL.pack(head.number, crc, _END)

    def read_ends(self, head: bytes, tail: bytes) -> Head | None:
        """Return what a record's ends say; None for one that is empty, cut short or damaged."""
        size = _HEAD.size + 4 * self.packing.shape.layers
        if len(head) < self.head_bytes or len(tail) < _TAIL.size:
            return None
        magic, _, number, at_ns, score = _HEAD.unpack_from(head)
        crc = zlib.crc32(head[:size])
        if (
            magic != _RECORD
            or _CRC.unpack_from(head, size)[0] != crc
            or tail != _TAIL.pack(number, crc, _END)
        ):
            return None
        return Head(number, at_ns, score, head[_HEAD.size : size])

    @property
    def tail_bytes(self) -> int:
        return _TAIL.size


def _refused(what: str) -> EngineError:
    return EngineError(
        what, hint="Delete that folder to begin anew, or keep each model's memory in its own.", permanent=True
    )
