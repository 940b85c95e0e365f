"""Blocks in memory first, written off to disk by a thread of their own; the newest stay in memory as well.

Each block goes to disk as soon as it can, so that a crash costs no more than what waited: `queue_blocks`.
When that many wait, whoever appends waits too: nothing is dropped without a word. While the disk fails,
blocks stay in memory; once there is no room for another there, an append raises what the disk said. Each
append lets the writer try again, so a disk that has room again is used again.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime.core.errors import EngineError

from .leaving import Limits
from .slab_store import SlabStore
from .store import BlockShape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

log = logging.getLogger(__name__)

QUEUE_BLOCKS = 16


@dataclass(frozen=True, slots=True)
class Held:
    """A block in memory."""

    packed: torch.Tensor
    at_ns: int
    score: float


@dataclass(frozen=True, slots=True)
class TierStats:
    """Say how full memory is and how the disk keeps up."""

    in_ram: int
    on_disk: int
    unwritten: int
    waits: int
    """Appends that had to wait for the disk."""
    fault: str
    """What the disk said, while it fails; else empty."""


class TieredStore:
    """Keep blocks in memory up to a limit, and on disk up to another. Owns `disk` and closes it.

    One thread appends and evicts, any reads. A read of what is in memory waits for nobody.
    """

    def __init__(self, disk: SlabStore, ram_mib: float, queue_blocks: int = QUEUE_BLOCKS) -> None:
        self.disk, self.packing = disk, disk.packing
        self.most_in_ram = Limits(ram_mib).blocks(disk.packing.block_bytes)
        self._queue_blocks = max(1, min(queue_blocks, self.most_in_ram))
        self._next = disk.next_number
        self._held: dict[int, Held] = {}
        self._unwritten: deque[int] = deque()
        self._in_work: int | None = None
        self._changed = threading.Condition()
        self._fault: EngineError | None = None
        self._try_again = self._closed = self._ended = False
        self._waits = 0
        self._thread = threading.Thread(target=self._run, name="kv-writer", daemon=True)
        self._thread.start()

    @property
    def shape(self) -> BlockShape:
        return self.packing.shape

    def append(
        self, keys_LHTD: torch.Tensor, values_LHTD: torch.Tensor, at_ns: int, *, score: float = 0.0
    ) -> int:
        """Keep a block and return its number; waits while too many are still to be written.

        Raises EngineError when the disk fails and memory is full of what is not written: the block is
        not kept then, all others are.
        """
        held = Held(self.packing.pack(keys_LHTD, values_LHTD), at_ns, score)
        with self._changed:
            if self._fault is None and len(self._unwritten) >= self._queue_blocks:
                self._waits += 1
                self._changed.wait_for(lambda: self._fault or self._ended or self._has_room())
            self._try_again = True
            if self._ended:
                self._changed.notify_all()
                raise EngineError("The memory's writer has ended.", hint="Begin a new session.")
            if self._fault is not None and len(self._unwritten) >= self.most_in_ram:
                self._changed.notify_all()
                raise EngineError(self._fault.message, hint=self._fault.hint)
            number, self._next = self._next, self._next + 1
            self._held[number] = held
            self._unwritten.append(number)
            self._trim()
            self._changed.notify_all()
            return number

    def _has_room(self) -> bool:
        return len(self._unwritten) < self._queue_blocks

    def _trim(self) -> None:
        while len(self._held) > self.most_in_ram:
            oldest = next(iter(self._held))
            if self._unwritten and oldest == self._unwritten[0]:
                return
            del self._held[oldest]

    def _run(self) -> None:
        try:
            while self._write_next():
                pass
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _write_next(self) -> bool:
        """Wait for a block and write it; False once that is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._may_write())
            if not self._unwritten or (self._closed and self._fault is not None):
                return not self._closed
            number = self._in_work = self._unwritten[0]
            held, self._try_again = self._held[number], False
        fault: EngineError | None = None
        try:
            self.disk.append_packed(held.packed, held.at_ns, score=held.score, number=number)
        except EngineError as error:
            fault = error
        with self._changed:
            if fault is None:
                self._unwritten.popleft()
            elif self._fault is None:
                log.warning("Blocks stay in memory for now: %s", fault)
            self._fault, self._in_work = fault, None
            self._trim()
            self._changed.notify_all()
        return True

    def _may_write(self) -> bool:
        return bool(self._unwritten) and (self._fault is None or self._try_again)

    def read(self, numbers: Sequence[int], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values (H, len(numbers) * T, D) of one layer. Raises KeyError for a hole."""
        rows = []
        for number in numbers:
            held = self._held.get(number)
            rows.append(self.disk.row(number, layer) if held is None else held.packed[layer])
        return self.packing.unpack(rows)

    def numbers(self) -> tuple[int, ...]:
        """Return which blocks there are, the oldest first."""
        with self._changed:
            held = tuple(self._held)
        written = self.disk.numbers()  # after `held`: what leaves memory in between is on disk
        return written[: bisect_left(written, held[0])] + held if held else written

    def at_ns(self, number: int) -> int:
        """Return when the block's frame was captured. Raises KeyError for a hole."""
        held = self._held.get(number)
        return self.disk.at_ns(number) if held is None else held.at_ns

    def vectors(self) -> tuple[tuple[int, ...], npt.NDArray[np.float32]]:
        """Return all numbers (N) and the means of their keys over tokens (N, L, H, D), the oldest first."""
        import numpy as np

        with self._changed:
            held = dict(self._held)
        numbers, vectors_NLHD = self.disk.vectors()
        cut = bisect_left(numbers, next(iter(held))) if held else len(numbers)
        newest = [self.packing.vector(one.packed).numpy()[None] for one in held.values()]
        return numbers[:cut] + tuple(held), np.concatenate([vectors_NLHD[:cut], *newest])

    def evict(self, numbers: Iterable[int]) -> None:
        """Forget blocks in memory and on disk; returns when that is done. Raises EngineError."""
        gone = set(numbers)
        with self._changed:
            self._changed.wait_for(lambda: self._in_work not in gone)
            for number in gone:
                self._held.pop(number, None)
            self._unwritten = deque(number for number in self._unwritten if number not in gone)
            self._changed.notify_all()
        self.disk.evict(sorted(gone))

    def stats(self) -> TierStats:
        with self._changed:
            fault = str(self._fault or "")
            return TierStats(
                len(self._held), len(self.disk.numbers()), len(self._unwritten), self._waits, fault
            )

    def flush(self) -> None:
        """Wait until all is written. Raises EngineError when the disk fails."""
        with self._changed:
            self._try_again = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._unwritten or self._ended or self._has_failed())
            if self._unwritten and self._fault is not None:
                raise EngineError(self._fault.message, hint=self._fault.hint)

    def _has_failed(self) -> bool:
        return self._fault is not None and not self._try_again and self._in_work is None

    def close(self) -> None:
        """Write what waits, as far as the disk takes it, and let go of everything. Twice does no harm."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        with self._changed:
            if self._unwritten:
                log.warning("%d blocks were not written: %s", len(self._unwritten), self._fault)
            self._held.clear()
            self._unwritten.clear()
        self.disk.close()
