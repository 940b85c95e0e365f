"""Blocks on disk: slab files in one folder, found again after a restart, bounded, and deleted for real.

There is room for one block more than is kept: an append writes it and another leaves with the next, so a full
disk loses nothing. Emptied records are written over by the next appends; a file without records is deleted.
What is forgotten on request or for its age is overwritten with zeros; whether the disk itself keeps an old
copy is beyond a program.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from realtime.core.errors import EngineError

from .leaving import MIB, Index, Limits
from .packing import Packing
from .slab import Slab, Write
from .slab_folder import disk_error, locked, tell_next, told_next
from .slab_layout import HEADER_BYTES, Head, Layout
from .store import BlockShape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

log = logging.getLogger(__name__)

SLAB_MIB = 64.0
MOST_SLABS = 128
"""Files of a full store, about; they grow with its limit."""


@dataclass(frozen=True, slots=True)
class Place:
    """Say where a block lies."""

    slab: Slab
    slot: int
    head: Head


class SlabStore:
    """Keep blocks in the slab files of one folder, which no other process may have open.

    One thread appends and evicts, any reads; a read never waits for a write. `corrupt` counts blocks whose
    bytes were found changed: each is told once in the log and is a hole from then on.
    """

    def __init__(
        self,
        folder: Path,
        packing: Packing,
        model: str,
        limits: Limits,
        *,
        slab_mib: float = SLAB_MIB,
        epoch_ns: int = 0,
        write: Write = os.pwrite,
    ) -> None:
        """Open a folder or make it.

        `epoch_ns` is the wall clock's time minus that of `at_ns`: so times mean the same after a restart.
        Raises EngineError for a folder in use, files of another model, shape or version, or a failing disk.
        """
        self.folder, self.packing = folder, packing
        self.corrupt = 0
        self._layout = Layout(packing, model, int(max(slab_mib, limits.most_mib / MOST_SLABS) * MIB))
        shape = packing.shape
        vector_bytes = 16 + 4 * shape.layers * shape.heads * shape.head_dim
        self.most_blocks = max(1, limits.blocks(self._layout.record_bytes + vector_bytes) - 1)
        self._epoch_ns, self._write = epoch_ns, write
        self._index: Index[Place] = Index(limits)
        self._slabs: dict[int, Slab] = {}
        self._damaged: deque[Place] = deque()
        self._writing = threading.Lock()
        self._lock_fd: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_fd = locked(folder)
            self._next = self._open()
        except OSError as error:
            self._unlock()
            raise disk_error(error, folder) from error
        except EngineError:
            self._unlock()
            raise

    def _open(self) -> int:
        for path in self.folder.glob("*.new"):
            path.unlink()
        found: list[tuple[Head, Slab, int]] = []
        for path in sorted(self.folder.glob("*.slab")):
            with path.open("rb") as file:
                header = self._layout.read_header(file.read(HEADER_BYTES), path.name)
            if header is None:
                log.warning("The header of %s is damaged; what it held is lost, and it is deleted", path)
                path.unlink()
                path.with_suffix(".vectors").unlink(missing_ok=True)
                continue
            slab = Slab(path, self._layout, int(path.stem), *header, self._write)
            self._slabs[slab.serial] = slab
            found += [(head, slab, slot) for slot, head in slab.scan()]
        found.sort(key=lambda one: one[0].number)
        for head, slab, slot in found:
            at_ns = head.at_ns + slab.epoch_ns - self._epoch_ns
            self._index.add(head.number, at_ns, head.score, Place(slab, slot, head))
        return max(told_next(self.folder), found[-1][0].number + 1 if found else 0)

    @property
    def shape(self) -> BlockShape:
        return self.packing.shape

    @property
    def next_number(self) -> int:
        """The number that the next block gets."""
        return self._next

    @property
    def used_bytes(self) -> int:
        """Bytes of all files."""
        total = 0
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # deleted meanwhile
                total += path.stat().st_size
        return total

    def append(
        self, keys_LHTD: torch.Tensor, values_LHTD: torch.Tensor, at_ns: int, *, score: float = 0.0
    ) -> int:
        """Write a block and return its number; others leave for it. `score`: how novel it is.

        Raises EngineError when it cannot be written: then nothing changed, and all else can be read.
        """
        return self.append_packed(self.packing.pack(keys_LHTD, values_LHTD), at_ns, score=score)

    def append_packed(
        self, packed: torch.Tensor, at_ns: int, *, score: float = 0.0, number: int | None = None
    ) -> int:
        """Write a block that is packed already, under a number of at least `next_number`."""
        with self._writing:
            number = self._next if number is None else number
            if number < self._next:
                raise ValueError(f"block {number} comes after block {self._next - 1}")
            self._drop(self._index.expired(at_ns), wipe=True)
            while len(self._index) > self.most_blocks and (out := self._index.next_out()) is not None:
                self._drop([out], wipe=False)
            try:
                slab, slot = self._room()
                stored_ns = at_ns + self._epoch_ns - slab.epoch_ns
                head = slab.write(slot, number, stored_ns, score, packed, self.packing.vector(packed))
            except OSError as error:
                raise disk_error(error, self.folder) from error
            self._index.add(number, at_ns, score, Place(slab, slot, head))
            self._next = number + 1
            return number

    def _room(self) -> tuple[Slab, int]:
        for slab in self._slabs.values():
            if (slot := slab.room()) is not None:
                return slab, slot
        serial = max(self._slabs, default=-1) + 1
        path = self.folder / f"{serial:08d}.slab"
        slab = self._slabs[serial] = Slab.create(path, self._layout, serial, self._epoch_ns, self._write)
        return slab, 0

    def read(self, numbers: Sequence[int], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values (H, len(numbers) * T, D) of one layer. Raises KeyError for a hole."""
        return self.packing.unpack([self.row(number, layer) for number in numbers])

    def row(self, number: int, layer: int) -> torch.Tensor:
        """Return one layer of a packed block, uint8 (layer_bytes,). Raises KeyError for a hole."""
        entry = self._index.get(number)
        place = entry.item
        row = place.slab.row(place.slot, layer, place.head.crc(layer))
        if row is not None:
            return row
        with suppress(KeyError):
            if self._index.get(number) is entry and self._index.take(number):  # else it left meanwhile
                self.corrupt += 1
                self._damaged.append(place)
                log.warning("Block %d in %s is damaged and left out from now on", number, place.slab.path)
        raise KeyError(f"block {number} is not kept (any more)")

    def numbers(self) -> tuple[int, ...]:
        return self._index.numbers()

    def at_ns(self, number: int) -> int:
        """Return when the block's frame was captured, on the present clock. Raises KeyError for a hole."""
        return self._index.get(number).at_ns

    def score(self, number: int) -> float:
        """Return how novel the block was said to be. Raises KeyError for a hole."""
        return self._index.get(number).score

    def vectors(self) -> tuple[tuple[int, ...], npt.NDArray[np.float32]]:
        """Return the numbers (N) and the means of their keys over tokens (N, L, H, D), the oldest first.

        They come from the sidecar; what is missing there is made from the record and written again.
        """
        import numpy as np

        kept: list[tuple[int, npt.NDArray[np.float32]]] = []
        for number in self.numbers():
            with suppress(KeyError):
                kept.append((number, self._vector(number)))
        shape = self.packing.shape
        empty = np.empty((0, shape.layers, shape.heads, shape.head_dim), np.float32)
        return tuple(number for number, _ in kept), np.stack([v for _, v in kept]) if kept else empty

    def _vector(self, number: int) -> npt.NDArray[np.float32]:
        import torch

        place = self._index.get(number).item
        vector = place.slab.vector(place.slot, number)
        if vector is None:
            rows = [self.row(number, layer) for layer in range(self.packing.shape.layers)]
            vector = self.packing.vector(torch.stack(rows)).numpy()
            with self._writing:
                if self._index.get(number).item is place:
                    place.slab.mend(place.slot, number, vector)
        return vector

    def evict(self, numbers: Sequence[int]) -> None:
        """Overwrite blocks with zeros, or delete whole files of them. Raises EngineError."""
        with self._writing:
            self._drop(numbers, wipe=True)

    def _drop(self, numbers: Sequence[int], *, wipe: bool) -> None:
        """Take blocks out, and those that were found damaged."""
        out = [(entry.item, wipe) for number in numbers if (entry := self._index.take(number)) is not None]
        while self._damaged:
            out.append((self._damaged.popleft(), True))
        try:
            for place, is_wiped in out:
                place.slab.empty(place.slot, wipe=is_wiped)
            for slab in {place.slab.serial: place.slab for place, _ in out}.values():
                if not slab.live:
                    slab.unlink()
                    del self._slabs[slab.serial]
                elif wipe:
                    slab.sync()
        except OSError as error:
            raise disk_error(error, self.folder) from error
        if wipe and self._next - 1 in numbers:
            tell_next(self.folder, self._next)

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
        with self._writing:
            for slab in self._slabs.values():
                with suppress(OSError):
                    slab.sync()
            for number in self._index.numbers():
                self._index.take(number)
            self._slabs.clear()
            self._unlock()

    def _unlock(self) -> None:
        fd, self._lock_fd = self._lock_fd, None
        if fd is not None:
            os.close(fd)
