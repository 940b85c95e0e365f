"""Which blocks are kept, and which one has to leave next when there is no more room."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConfigError

T = TypeVar("T")
MIB = 1 << 20

Evict = Literal["age", "novelty"]
"""Who leaves first: the oldest, or the one with the least score, which is what it told that was new."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound a store."""

    most_mib: float
    """Of blocks; a store on disk counts its sidecar too."""
    keep_s: float = 0.0
    """Seconds after which a block is forgotten whether or not there is room; 0: as long as there is room."""
    evict: Evict = "age"
    spare_newest: int = 8
    """So many of the newest blocks do not leave for want of novelty."""

    def __post_init__(self) -> None:
        if not (self.most_mib > 0 and self.keep_s >= 0 and self.spare_newest >= 1):
            raise ConfigError(f"A store's limits are above 0 and spare one block at least, got {self}.")

    def blocks(self, block_bytes: int) -> int:
        """Return how many blocks fit, one at least."""
        return max(1, int(self.most_mib * MIB) // block_bytes)


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """Say what is known of a block, and where it is."""

    at_ns: int
    score: float
    item: T


class Index(Generic[T]):
    """Know the blocks by number, and who leaves next. Any thread; the lock is never held over work."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._entries: dict[int, Entry[T]] = {}  # in the order of numbers, thus of time
        self._numbers: tuple[int, ...] | None = ()
        self._newest: deque[int] = deque()
        self._heap: list[tuple[float, int]] = []  # of those not spared; who is gone is passed over

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, number: int, at_ns: int, score: float, item: T) -> None:
        """Note the block with the greatest number so far."""
        with self._lock:
            self._entries[number] = Entry(at_ns, score, item)
            self._numbers = None
            self._newest.append(number)
            if len(self._newest) > self.limits.spare_newest:
                self._rank(self._newest.popleft())

    def _rank(self, number: int) -> None:
        entry = self._entries.get(number)
        if entry is not None:
            by = entry.score if self.limits.evict == "novelty" else 0.0
            heapq.heappush(self._heap, (by, number))

    def get(self, number: int) -> Entry[T]:
        """Return what is known of a block. Raises KeyError when there is none."""
        try:
            return self._entries[number]
        except KeyError:
            raise KeyError(f"block {number} is not kept (any more)") from None

    def take(self, number: int) -> Entry[T] | None:
        """Forget a block and return it; None when there was none."""
        with self._lock:
            entry = self._entries.pop(number, None)
            if entry is not None:
                self._numbers = None
            return entry

    def numbers(self) -> tuple[int, ...]:
        """Return which blocks there are, the oldest first."""
        with self._lock:
            if self._numbers is None:
                self._numbers = tuple(self._entries)
            return self._numbers

    def expired(self, now_ns: int) -> list[int]:
        """Return the blocks that are older than `keep_s`."""
        if not self.limits.keep_s:
            return []
        oldest_ns, gone = now_ns - int(self.limits.keep_s * NS_PER_S), []
        with self._lock:
            for number, entry in self._entries.items():
                if entry.at_ns >= oldest_ns:
                    break
                gone.append(number)
        return gone

    def next_out(self) -> int | None:
        """Return who leaves next; it stays until taken. None without blocks."""
        with self._lock:
            while self._heap:
                if self._heap[0][1] in self._entries:
                    return self._heap[0][1]
                heapq.heappop(self._heap)
            return next(iter(self._entries), None)
