"""One slab file: records of one size, written at their end or over an emptied one, read with `pread`.

The descriptor is closed when the last who reads lets go of the object, so a file may be deleted meanwhile.
"""

from __future__ import annotations

import heapq
import os
import struct
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .slab_layout import HEADER_BYTES, Head, Layout

if TYPE_CHECKING:
    import torch

Write = Callable[[int, memoryview, int], int]
"""What `os.pwrite` is: descriptor, bytes, offset to how many were written; OSError."""

_ROW = struct.Struct("<QII")


def write_all(write: Write, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write all of `data`, in as many calls as it takes. Raises OSError."""
    left = memoryview(data)
    while left:
        done = write(fd, left, offset)
        left, offset = left[done:], offset + done


class Slab:
    """Hold one file open, with the sidecar of block vectors beside it. One thread writes, any reads."""

    def __init__(
        self, path: Path, layout: Layout, serial: int, records: int, epoch_ns: int, write: Write
    ) -> None:
        """Open a file that begins with a header of `records` and `epoch_ns`; `create` makes a new one."""
        self.path, self.layout, self.serial, self.epoch_ns = path, layout, serial, epoch_ns
        self.records = records
        """How many it holds at most."""
        self._write = write
        self._fd = _open(self, path)
        self._sidecar_fd = _open(self, path.with_suffix(".vectors"))
        room = (os.fstat(self._fd).st_size - HEADER_BYTES) // layout.record_bytes
        self.end = max(0, min(room, records))
        """Slots that the file is long enough for."""
        self.live = 0
        self.free: list[int] = []

    @classmethod
    def create(cls, path: Path, layout: Layout, serial: int, epoch_ns: int, write: Write) -> Slab:
        """Make a file; it is under its name only once its header is whole. Raises OSError."""
        temporary = path.with_suffix(".new")
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(write, fd, layout.header(serial, epoch_ns, layout.records), 0)
        except OSError:
            temporary.unlink()
            raise
        finally:
            os.close(fd)
        temporary.replace(path)
        return cls(path, layout, serial, layout.records, epoch_ns, write)

    def scan(self) -> Iterator[tuple[int, Head]]:
        """Find the whole records; note the other slots as free and cut off what was written in part."""
        for slot in range(self.end):
            head = os.pread(self._fd, self.layout.head_bytes, self.layout.offset(slot))
            tail = os.pread(self._fd, self.layout.tail_bytes, self.layout.tail_offset(slot))
            found = self.layout.read_ends(head, tail)
            if found is None:
                heapq.heappush(self.free, slot)
                continue
            self.live += 1
            yield slot, found
        os.ftruncate(self._fd, self.layout.offset(self.end))

    def room(self) -> int | None:
        """Return the slot for the next record; None when the file is full."""
        if self.free:
            return self.free[0]
        return self.end if self.end < self.records else None

    def write(
        self, slot: int, number: int, at_ns: int, score: float, packed: torch.Tensor, vector_LHD: torch.Tensor
    ) -> Head:
        """Write a record into the slot that `room` named. Raises OSError, and then the slot is as it was."""
        rows: npt.NDArray[np.uint8] = packed.numpy()
        crcs = b"".join(zlib.crc32(row).to_bytes(4, "little") for row in rows)
        head = Head(number, at_ns, score, crcs)
        first, last = self.layout.ends(head)
        record = bytearray(self.layout.record_bytes)
        record[: len(first)] = first
        np.frombuffer(record, np.uint8)[len(first) : len(first) + rows.size] = rows.ravel()
        record[-len(last) :] = last
        vector = vector_LHD.numpy().tobytes()
        try:
            side = _ROW.pack(number, zlib.crc32(vector), len(vector)) + vector
            write_all(self._write, self._sidecar_fd, side, slot * len(side))
            write_all(self._write, self._fd, record, self.layout.offset(slot))
        except OSError:
            if slot == self.end:
                with suppress(OSError):  # else it is cut off when the file is opened again
                    os.ftruncate(self._fd, self.layout.offset(slot))
            raise
        if slot == self.end:
            self.end += 1
        else:
            heapq.heappop(self.free)
        self.live += 1
        return head

    def row(self, slot: int, layer: int, crc: int) -> torch.Tensor | None:
        """Read one layer's bytes; None when they are not what was written."""
        import torch

        row = torch.empty(self.layout.packing.layer_bytes, dtype=torch.uint8)
        into = memoryview(row.numpy())
        try:
            count = os.preadv(self._fd, [into], self.layout.row_offset(slot, layer))
        except OSError:
            return None
        return row if count == len(into) and zlib.crc32(into) == crc else None

    def vector(self, slot: int, number: int) -> npt.NDArray[np.float32] | None:
        """Read a block's vector (L, H, D) from the sidecar; None when it is not there or damaged."""
        shape = self.layout.packing.shape
        size = 4 * shape.layers * shape.heads * shape.head_dim
        side = os.pread(self._sidecar_fd, _ROW.size + size, slot * (_ROW.size + size))
        if side[: _ROW.size] != _ROW.pack(number, zlib.crc32(side[_ROW.size :]), size):
            return None
        return np.frombuffer(side, np.float32, offset=_ROW.size).reshape(
            shape.layers, shape.heads, shape.head_dim
        )

    def mend(self, slot: int, number: int, vector_LHD: npt.NDArray[np.float32]) -> None:
        """Write a vector that was made from its record anew; leave it out where there is no room."""
        data = vector_LHD.tobytes()
        side = _ROW.pack(number, zlib.crc32(data), len(data)) + data
        with suppress(OSError):
            write_all(self._write, self._sidecar_fd, side, slot * len(side))

    def empty(self, slot: int, *, wipe: bool) -> None:
        """Take a record out, with `wipe` by zeros over all of it and its vector. Raises OSError."""
        size = self.layout.record_bytes if wipe else self.layout.head_bytes
        write_all(os.pwrite, self._fd, bytes(size), self.layout.offset(slot))
        if wipe:
            shape = self.layout.packing.shape
            side = bytes(_ROW.size + 4 * shape.layers * shape.heads * shape.head_dim)
            write_all(os.pwrite, self._sidecar_fd, side, slot * len(side))
        heapq.heappush(self.free, slot)
        self.live -= 1

    def sync(self) -> None:
        """Wait until the disk holds what was written."""
        os.fsync(self._fd)
        os.fsync(self._sidecar_fd)

    def unlink(self) -> None:
        """Delete the files; who is reading goes on until done."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".vectors").unlink(missing_ok=True)


def _open(owner: Slab, path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    weakref.finalize(owner, os.close, fd)
    return fd
